package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestOrdersAskOnATerminal has every order and every preview, with an answer, without a terminal, and with --yes, and looks at what
// the origin was told.
func TestOrdersAskOnATerminal(t *testing.T) {
	const order, preview = false, true
	for name, c := range map[string]struct {
		args     []string
		previews bool
		asks     string
		told     string // what changes something
	}{
		"edge revoke":          {[]string{"edge", "revoke", "gate-3"}, order, "Revoke it? [y/N] ", "DELETE /v1/edges/gate-3"},
		"edge enrol --replace": {[]string{"edge", "enrol", "gate-3", "--issuers", "gz", "--replace"}, order, "Replace it? [y/N] ", "PUT /v1/edges/gate-3"},
		"token revoke":         {[]string{"token", "revoke", "a"}, order, `Revoke the push token a of "x", last used never? [y/N] `, "DELETE /v1/tokens/a"},
		"held --drop":          {[]string{"held", "--drop", "gz-a"}, order, "Drop it? [y/N] ", "DELETE /v1/issuers/gz/held/gz-a"},
		"issuer set --plain":   {[]string{"issuer", "set", "gz", "--plain=false"}, order, "refuses plain codes then.", "PUT /v1/issuers/gz"},
		"issuer set --max-stale": {[]string{"issuer", "set", "gz", "--max-stale", "30m"}, order,
			"refuse to answer after 30m0s then, not after 1h0m0s.", "PUT /v1/issuers/gz"},
		"issuer set --max-change-all": {[]string{"issuer", "set", "gz", "--max-change-all", "21%"}, order, "A larger wrong push", "PUT /v1/issuers/gz"},
		"issuer set --code-window":    {[]string{"issuer", "set", "gz", "--code-window", "0"}, order, "off by more than 0 s.", "PUT /v1/issuers/gz"},
		"issuer set --new-code-key": {[]string{"issuer", "set", "gz", "--new-code-key"}, order,
			"made with code key 6 are refused as forged then", "PUT /v1/issuers/gz"},
		"issuer set --drop-old-code-key": {[]string{"issuer", "set", "gz", "--new-code-key", "--drop-old-code-key"}, order,
			"made with code key 7 or 6 are refused as forged then", "PUT /v1/issuers/gz"},
		"issuer set, harmless": {[]string{"issuer", "set", "gz", "--plain", "--max-stale", "2h", "--max-change-bad", "1%", "--code-window", "1"}, order, "", "PUT /v1/issuers/gz"},
		"approve":              {[]string{"approve", "gz-a"}, preview, "Apply it to gz? [y/N] ", "POST /v1/issuers/gz/held/gz-a/approve"},
		"rollback":             {[]string{"rollback", "gz", "--to", "7"}, preview, "at offset 7? [y/N] ", "POST /v1/issuers/gz/rollback"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, by := range []struct {
				name, answer string
				flags        []string
				done, asked  bool
			}{
				{"y", "y\n", nil, true, true},
				{"no", "\n", nil, c.asks == "", true},
				{"--yes", "", []string{"--yes"}, true, false},
				{"no terminal", "none", nil, !c.previews, false},
				{"no terminal, --yes", "none", []string{"--yes"}, true, false},
			} {
				o := newOrders(t)
				var in io.Reader = strings.NewReader("")
				if by.answer != "none" {
					screen, tty := terminal(t)
					if _, err := screen.WriteString(by.answer); err != nil {
						t.Fatal(err)
					}
					in = tty
				}
				said, err := sayOf(t, in, slices.Concat(c.args, by.flags, []string{"--origin", o.url, "--token", "t"}))
				if told := o.changes(); (told == c.told) != by.done || (err == nil) != by.done || !by.done && told != "" {
					t.Errorf("%s: told the origin %q, %v", by.name, told, err)
				}
				if asked := c.asks != "" && strings.Contains(said, c.asks); asked != (by.asked && c.asks != "") || c.asks == "" && strings.Contains(said, "[y/N]") {
					t.Errorf("%s: said %q", by.name, said)
				}
			}
		})
	}
}

// orders is an origin that has what the orders are about, and keeps which changes it was told.
type orders struct {
	url string

	mu   sync.Mutex
	told []string
}

func newOrders(t *testing.T) *orders {
	o := new(orders)
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

func (o *orders) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	var body struct {
		DryRun bool `json:"dry_run"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	if r.Method != http.MethodGet && !body.DryRun {
		o.mu.Lock()
		o.told = append(o.told, r.Method+" "+r.URL.Path)
		o.mu.Unlock()
	}
	answer := map[string]string{
		"/v1/tokens":     `{"tokens":[{"id":"a","kind":"push","name":"x"}]}`,
		"/v1/issuers/gz": `{"issuer":"gz","policy":{"max_stale_s":3600,"plain":true,"code_window_steps":1,"max_change":{"bad":0.05,"all":0.2,"floor":1000}},"code_keys":[7,6]}`,
	}[r.URL.Path]
	if answer == "" {
		answer = "{}"
	}
	_, _ = io.WriteString(rw, answer)
}

func (o *orders) changes() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.told, ", ")
}

// sayOf is what a verb says on standard error, where it asks.
func sayOf(t *testing.T, in io.Reader, args []string) (string, error) {
	var said strings.Builder
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(io.Discard)
	root.SetErr(&said)
	err := root.ExecuteContext(t.Context())
	return said.String(), err
}
