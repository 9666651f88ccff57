package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/edge/passcode"
)

// shownCode is a code and what lies in it, as JSON.
type shownCode struct {
	Code    string    `json:"code"`
	Form    string    `json:"form"`
	Issuer  string    `json:"issuer"`
	Subject string    `json:"subject"`
	KeyID   int       `json:"key_id,omitempty"`
	Step    uint32    `json:"step,omitempty"`
	From    time.Time `json:"from,omitzero"`  // of its step, or of its validity
	Until   time.Time `json:"until,omitzero"` // and the end, which is not in it
}

func shownCodeOf(text string, c *passcode.Code) shownCode {
	s := shownCode{Code: text, Form: c.Kind.String(), Issuer: string(c.Issuer()), Subject: string(c.Subject()), KeyID: int(c.KeyID)}
	switch c.Kind {
	case passcode.Rolling:
		s.Step = c.Step
		s.From = time.Unix(int64(c.Step)*passcode.StepSeconds, 0).UTC()
		s.Until = s.From.Add(passcode.StepSeconds * time.Second)
	case passcode.Signed:
		s.From, s.Until = time.Unix(int64(c.From), 0).UTC(), time.Unix(int64(c.Until), 0).UTC()
	}
	return s
}

func newCodeShowCmd() *cobra.Command {
	var png, svg string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show CODE",
		Short: "Draw a code as a QR, and say what lies in it",
		Long: `show draws a code as a QR, on the terminal or into a file, and says what lies in it: form, issuer, subject, the time that it is of, and
what such a code proves. It asks nobody, so it does not say whether the code is genuine: scanedge code verify does.

With - the code comes from standard input.`,
		Example: `  scanedge code show demo-a:d000000001
  scanedge code mint demo-a d000000001 | scanedge code show - --png code.png`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, c, err := codeGiven(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			p, err := pictureOf(text)
			if err != nil {
				return err
			}
			if png != "" {
				err = save(png, p.PNG())
			}
			if svg != "" {
				err = cmp.Or(err, save(svg, p.svg()))
			}
			if err != nil {
				return err
			}
			shown := shownCodeOf(text, c)
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(shown)
			}
			return showCode(screenOf(cmd), p, shown, png+svg == "")
		},
	}
	cmd.Flags().StringVar(&png, "png", "", "write the QR to this file, 8 pixels a module, and draw none")
	cmd.Flags().StringVar(&svg, "svg", "", "write the QR to this file, and draw none")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// codeGiven reads the code that an argument is, or with - a line of standard input.
func codeGiven(in io.Reader, arg string) (string, *passcode.Code, error) {
	if arg == "-" {
		lines := bufio.NewScanner(in)
		lines.Scan()
		if err := lines.Err(); err != nil {
			return "", nil, fmt.Errorf("read a code from standard input: %w", err)
		}
		arg = strings.TrimSpace(lines.Text())
	}
	c := new(passcode.Code)
	if !passcode.Parse([]byte(arg), c) {
		return arg, nil, fmt.Errorf("%s: %s: a code is ISSUER:SUBJECT, SE1.ISSUER.PAYLOAD or SS1.ISSUER.PAYLOAD", printable(arg), scanedge.MalformedCode)
	}
	return arg, c, nil
}

func showCode(s screen, p picture, c shownCode, draw bool) error {
	if draw {
		if width := s.columns(); width > 0 && width < p.columns() {
			return fmt.Errorf("the QR takes %d columns, this terminal has %d: widen it, or give --png FILE", p.columns(), width)
		}
		for _, l := range p.lines() {
			if _, err := fmt.Fprintln(s.out, s.paint(l)); err != nil {
				return err
			}
		}
	}
	return columns(s.out, append(codeRows(c, time.Now()), []string{"QR", p.describe(c.Code)}))
}

// codeRows are what lies in a code, for people.
func codeRows(c shownCode, now time.Time) [][]string {
	rows := [][]string{{"code", printable(c.Code)}, {"form", c.Form}, {"issuer", c.Issuer}, {"subject", printable(c.Subject)}}
	proves := "nothing but that who shows it knows the subject's id"
	switch c.Form {
	case passcode.Rolling.String():
		rows = append(rows, []string{"key id", strconv.Itoa(c.KeyID)},
			[]string{"step", fmt.Sprintf("%d, %s to %s; %s", c.Step, c.From.Format(time.DateTime), c.Until.Format("15:04:05Z"), standing(c, now))})
		proves = "if genuine, that it was made in that step by who has the subject's secret"
	case passcode.Signed.String():
		rows = append(rows, []string{"key id", strconv.Itoa(c.KeyID)},
			[]string{"good", fmt.Sprintf("%s until %s; %s", c.From.Format(time.RFC3339), c.Until.Format(time.RFC3339), standing(c, now))})
		proves = "if genuine, that the issuer signed it; a photograph of it is as good"
	}
	return append(rows, []string{"proves", proves})
}

// standing says where a code's time stands, by a clock alone: an edge takes a rolling one for its issuer's window longer.
func standing(c shownCode, now time.Time) string {
	switch {
	case now.Before(c.From):
		return "begins in " + brief(c.From.Sub(now))
	case now.Before(c.Until):
		return brief(c.Until.Sub(now)) + " left"
	}
	return "over for " + brief(now.Sub(c.Until))
}
