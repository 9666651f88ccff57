package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/scanedge/scanedge"
)

// completeWithin bounds what a press of Tab asks an origin: a shell stands still meanwhile.
const completeWithin = time.Second

// names asks an origin for what a word may be: a name, or a name, a tab and what a person wants to know of it.
type names func(ctx context.Context, operator *scanedge.Operator) ([]cobra.Completion, error)

// argumentNames are the first arguments that an origin knows, by verb. Those with files as another argument complete these
// by the shell.
var argumentNames = map[string]names{
	"approve": heldIDs, "code mint": issuerIDs, "code secret": issuerIDs, "edge revoke": edgeNames, "held": issuerIDs, "issuer set": issuerIDs, "issuer show": issuerIDs,
	"push": issuerIDs, "rollback": issuerIDs, "subject": issuerIDs, "token revoke": tokenIDs, "token rotate": tokenIDs,
}

// flagNames are the values of flags that an origin knows, by verb and flag. Of lists it is the last element that is completed.
var flagNames = map[string]names{
	"edge enrol --issuers": issuerIDs, "held --drop": heldIDs, "token create --issuer": issuerIDs,
}

// fixedWords are arguments and values of flags that never change.
var fixedWords = map[string][]cobra.Completion{
	"token create": {
		"push\tpushes statuses of issuers", "scan\tasks edges, as a checkpoint", "admin\tmay all that an operator may",
	},
	"push --format": {"csv", "ndjson"},
}

// fileArguments are the verbs whose arguments are files or folders, from the place of the first on.
var fileArguments = map[string]int{
	"backup": 0, "batch inspect": 0, "batch verify": 0, "push": 1, "restore": 0, "table inspect": 0, "table verify": 0,
}

// forShells tells the verbs that shells run: that of their scripts, and what these ask.
func forShells(cmd *cobra.Command) bool {
	return cmd.Name() == cobra.ShellCompRequestCmd || cmd.HasParent() && cmd.Parent().Name() == "completion"
}

// addCompletion adds the verb completion, and tells all others what to offer.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Short = "Print a script that completes commands in a shell, also with what the origin knows"
			cmd.Args, cmd.RunE = cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	_ = root.MarkPersistentFlagFilename("config", "yaml", "yml") // it is there
	completeAll(root)
}

// completeAll tells every verb below root how its arguments and the values of its flags are completed.
func completeAll(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			continue // the shells' names are its verbs
		}
		if !cmd.HasSubCommands() || cmd.Args != nil {
			cmd.ValidArgsFunction = completeArguments
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) { completeFlag(cmd, f) })
		completeAll(cmd)
	}
}

// verbOf is a verb without the program's name, such as "edge revoke".
func verbOf(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

func completeArguments(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	verb := verbOf(cmd)
	if from, files := fileArguments[verb]; files && len(args) >= from {
		if cmd.Args(cmd, append(slices.Clone(args), "x")) == nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if ask := argumentNames[verb]; ask != nil && len(args) == 0 {
		return askNames(cmd, ask, typed)
	}
	if len(args) == 0 {
		return fixedWords[verb], cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeFlag offers files only to flags that take one.
func completeFlag(cmd *cobra.Command, f *pflag.Flag) {
	key := verbOf(cmd) + " --" + f.Name
	complete := cobra.NoFileCompletions
	switch {
	case flagNames[key] != nil:
		complete = func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return askNames(cmd, flagNames[key], typed)
		}
	case fixedWords[key] != nil:
		complete = cobra.FixedCompletions(fixedWords[key], cobra.ShellCompDirectiveNoFileComp)
	case key == "code mint --from": // a time
	case f.Name == "dir" || f.Name == "state":
		complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	case f.Name == "up" || f.Name == "from":
		complete = cobra.FixedCompletions([]cobra.Completion{"json"}, cobra.ShellCompDirectiveFilterFileExt)
	case slices.Contains([]string{"ca", "markdown", "out", "plot", "png", "secret", "seed-file", "signing-key-file", "svg"}, f.Name):
		complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	}
	_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // fails only for a flag that is not there, or was told already
}

// askNames asks the origin that the flags, the environment or a fleet in this folder name. Whatever fails says nothing: the
// line that is being typed is no place for it.
func askNames(cmd *cobra.Command, ask names, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const silent = cobra.ShellCompDirectiveNoFileComp
	if configure(cmd) != nil {
		return nil, silent
	}
	value := func(flag string) string { // "" of a verb that has no such flag
		if f := cmd.Flags().Lookup(flag); f != nil {
			return f.Value.String()
		}
		return ""
	}
	f := operatorFlags{origin: value("origin"), up: value("up"), token: value("token"), ca: caFlag(value("ca"))}
	operator, err := f.open()
	if err != nil {
		return nil, silent
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	found, err := ask(ctx, operator)
	if err != nil {
		return nil, silent
	}
	before := typed[:strings.LastIndexByte(typed, ',')+1]
	var words []cobra.Completion
	for _, word := range found {
		if word = before + word; strings.HasPrefix(word, typed) {
			words = append(words, word)
		}
	}
	return words, silent
}

func issuerIDs(ctx context.Context, operator *scanedge.Operator) (ids []cobra.Completion, err error) {
	list, err := listIssuers(ctx, operator)
	for _, i := range list.Issuers {
		ids = append(ids, fmt.Sprintf("%s\t%s", i.Issuer, many(i.Count, "subject")))
	}
	return ids, err
}

// edgeNames are those that were not revoked.
func edgeNames(ctx context.Context, operator *scanedge.Operator) (edges []cobra.Completion, err error) {
	list, err := listEdges(ctx, operator)
	for _, e := range list.Edges {
		if e.Revoked.IsZero() {
			edges = append(edges, fmt.Sprintf("%s\tmay read %s", e.Name, strings.Join(e.Issuers, ",")))
		}
	}
	return edges, err
}

// tokenIDs are those in force.
func tokenIDs(ctx context.Context, operator *scanedge.Operator) (ids []cobra.Completion, err error) {
	tokens, err := listTokens(ctx, operator)
	for _, t := range tokens {
		if t.Lives(time.Now()) {
			ids = append(ids, fmt.Sprintf("%s\t%s token of %s", t.ID, t.Kind, printable(t.Name)))
		}
	}
	return ids, err
}

func heldIDs(ctx context.Context, operator *scanedge.Operator) (ids []cobra.Completion, err error) {
	held, err := heldOf(ctx, operator, nil)
	for _, h := range held {
		ids = append(ids, fmt.Sprintf("%s\t%s by %s", h.ID, many(h.Deltas, "delta"), printable(h.Pusher)))
	}
	return ids, err
}
