package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// knowing is an origin that knows of two issuers, edges, tokens and one held push, for who brings its token.
func knowing(t *testing.T) string {
	t.Helper()
	answers := map[string]string{
		"/v1/issuers":         `{"issuers":[{"issuer":"gz","count":1},{"issuer":"sz","count":2000}]}`,
		"/v1/issuers/gz/held": `{"held":[{"id":"gz-k7q2","deltas":1500,"pusher":"registry"}]}`,
		"/v1/issuers/sz/held": `{"held":[]}`,
		"/v1/edges":           `{"edges":[{"name":"gate-1","issuers":["*"]},{"name":"gone","revoked":"2026-01-01T00:00:00Z"}]}`,
		"/v1/tokens": `{"tokens":[{"id":"k3v7","kind":"scan","name":"east\u001b[31m"},` +
			`{"id":"dead","kind":"push","name":"x","revoked":"2026-01-01T00:00:00Z"}]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := answers[r.URL.Path]; r.Header.Get("Authorization") == "Bearer admin-x" && answer != "" {
			_, _ = w.Write([]byte(answer))
			return
		}
		http.Error(w, "no", http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// completed is what a shell is told to offer for a line whose last word is being typed, with "|" for the ends of lines.
func completed(t *testing.T, line ...string) string {
	t.Helper()
	out, err := verb(t.Context(), strings.NewReader(""), append([]string{"__complete"}, line...)...)
	if err != nil {
		t.Errorf("%q: %v", line, err)
	}
	return strings.ReplaceAll(strings.TrimSpace(out), "\n", "|")
}

func TestCompletion(t *testing.T) {
	t.Chdir(t.TempDir()) // no fleet runs here
	t.Setenv("SCANEDGE_ORIGIN", knowing(t))
	t.Setenv("SCANEDGE_TOKEN", "admin-x")
	const issuers, nothing, files, dirs = "gz\t1 subject|sz\t2,000 subjects|:4", ":4", ":0", ":16"
	for line, want := range map[string]string{
		"issuer show ":                    issuers,
		"issuer set ":                     issuers,
		"issuer set g":                    "gz\t1 subject|:4",
		"issuer show gz ":                 nothing,
		"issuer create ":                  nothing,
		"held ":                           issuers,
		"held --drop ":                    "gz-k7q2\t1,500 deltas by registry|:4",
		"approve ":                        "gz-k7q2\t1,500 deltas by registry|:4",
		"rollback ":                       issuers,
		"subject ":                        issuers,
		"subject gz ":                     nothing,
		"push ":                           issuers,
		"push gz ":                        files,
		"push gz x.csv ":                  nothing,
		"push --format ":                  "csv|ndjson|:4",
		"push --note ":                    nothing,
		"push --state ":                   dirs,
		"edge revoke ":                    "gate-1\tmay read *|:4",
		"edge enrol gate-2 --issuers ":    issuers,
		"edge enrol g --issuers gz,s":     "gz,sz\t2,000 subjects|:4",
		"token rotate ":                   "k3v7\tscan token of \"east\\x1b[31m\"|:4",
		"token revoke k":                  "k3v7\tscan token of \"east\\x1b[31m\"|:4",
		"token create ":                   "push\tpushes statuses of issuers|scan\tasks edges, as a checkpoint|admin\tmay all that an operator may|:4",
		"token create push --issuer ":     issuers,
		"token create push --max-deltas ": nothing,
		"token create scan ":              nothing,
		"code mint ":                      issuers,
		"code mint gz ":                   nothing,
		"code mint --secret ":             files,
		"code mint --from ":               nothing,
		"code show --png ":                files,
		"code show ":                      nothing,
		"backup ":                         files,
		"backup x ":                       nothing,
		"issuer list --ca ":               files,
		"issuer list --up ":               "json|:8",
		"issuer list ":                    nothing,
		"origin --dir ":                   dirs,
		"--config ":                       "yaml|yml|:8",
		"completion ":                     "bash\tGenerate the autocompletion script for bash|fish\tGenerate the autocompletion script for fish|powershell\tGenerate the autocompletion script for powershell|zsh\tGenerate the autocompletion script for zsh|:4",
	} {
		if got := completed(t, strings.Split(line, " ")...); got != want {
			t.Errorf("%q: %q, not %q", line, got, want)
		}
	}
}

// An origin that is away, silent, or does not know the token, or settings that make no sense: nothing is offered, nothing said.
func TestCompletionIsSilentOnFailure(t *testing.T) {
	t.Chdir(t.TempDir())
	asked := make(chan bool, 1)
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- true
		<-r.Context().Done()
	}))
	defer hanging.Close()
	for name, env := range map[string][3]string{
		"away":       {"http://127.0.0.1:1", "admin-x", ""},
		"hangs":      {hanging.URL, "admin-x", ""},
		"refused":    {knowing(t), "admin-y", ""},
		"no URL":     {"ftp://x", "admin-x", ""},
		"no origin":  {"", "admin-x", ""},
		"no setting": {knowing(t), "admin-x", "no-such-file.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			for i, name := range []string{"SCANEDGE_ORIGIN", "SCANEDGE_TOKEN", "SCANEDGE_CONFIG"} {
				t.Setenv(name, env[i])
			}
			if got := completed(t, "issuer", "show", ""); got != ":4" {
				t.Error(got)
			}
		})
	}
	select {
	case <-asked:
	case <-time.After(10 * time.Second):
		t.Error("the origin that hangs was not asked")
	}
}

// A shell that there is no script for is a usage error.
func TestCompletionOfAStrangeShell(t *testing.T) {
	_, err := verb(t.Context(), nil, "completion", "tcsh")
	wantExit(t, err, exitUsage)
}

// Every word that is said for completion belongs to a verb that there is, so none is forgotten when one gets another name.
func TestCompletionKnowsItsVerbs(t *testing.T) {
	verbs := map[string]bool{}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		verbs[verbOf(cmd)] = true
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
	check := func(key string) {
		if verb, _, _ := strings.Cut(key, " --"); !verbs[verb] {
			t.Errorf("there is no verb %q", verb)
		}
	}
	for key := range argumentNames {
		check(key)
	}
	for key := range flagNames {
		check(key)
	}
	for key := range fixedWords {
		check(key)
	}
	for key := range fileArguments {
		check(key)
	}
}
