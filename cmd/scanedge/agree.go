package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// errNotAnswered is what a verb that must be agreed to says where nobody can be asked.
var errNotAnswered = errors.New("nothing was changed: say --yes to agree, for there is no terminal to ask on")

// What the help of orders says, and of their --yes.
const (
	ordersAsk = "On a terminal it asks first, unless --yes is given; in a script it does not."
	doNotAsk  = "do not ask on a terminal"
)

// consent is whether a verb was agreed to beforehand.
type consent struct{ yes bool }

func (c *consent) add(cmd *cobra.Command, usage string) {
	cmd.Flags().BoolVar(&c.yes, "yes", false, usage)
}

// toPreview asks on the terminal whether to do what a preview has just shown, unless yes was said before. Without a terminal nobody
// has seen the preview, and nothing is agreed to.
func (c consent) toPreview(cmd *cobra.Command, question string) error {
	if c.yes {
		return nil
	}
	in := terminalOf(cmd.InOrStdin())
	if in == nil {
		return errNotAnswered
	}
	return ask(cmd, in, question)
}

// toOrder asks about an order whose line says all that it does, such as a revocation; question is called only where somebody can
// answer. Without a terminal the order holds: a script that names a stolen edge means it, and must not fail for a word at night.
func (c consent) toOrder(cmd *cobra.Command, question func() (string, error)) error {
	in := terminalOf(cmd.InOrStdin())
	if c.yes || in == nil {
		return nil
	}
	q, err := question()
	if err != nil || q == "" {
		return err
	}
	return ask(cmd, in, q)
}

// terminalOf is the terminal that a verb reads from or writes to, nil if the stream is none.
func terminalOf(stream any) *os.File {
	if f, ok := stream.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

func ask(cmd *cobra.Command, in *os.File, question string) error {
	answered := make(chan string, 1)
	cmd.PrintErrf("%s [y/N] ", question)
	go func() { // apart, for a read from a terminal can't be interrupted
		line, _ := bufio.NewReader(in).ReadString('\n')
		answered <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case a := <-answered:
		if a == "y" || a == "yes" {
			return nil
		}
		return fmt.Errorf("nothing was changed: the answer was %q, not yes", a)
	case <-cmd.Context().Done():
		return context.Cause(cmd.Context())
	}
}
