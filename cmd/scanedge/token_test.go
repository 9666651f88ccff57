package main

import (
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/sync/access"
)

// A row says all that is known of a token, and nothing that would play tricks on a terminal.
func TestTokenRows(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	made := now.Add(-48 * time.Hour)
	rows := tokenRows([]access.Token{
		{ID: "a", Kind: access.Push, Name: "广州", Made: made, Used: now.Add(-3 * time.Minute)},
		{ID: "b", Kind: access.Push, Name: "x", Issuers: []string{"gz", "sz"}, Rate: 1000, MaxDeltas: 50, Made: made, Revoked: now.Add(-time.Hour)},
		{ID: "c", Kind: access.Scan, Name: "gate\x1b[31m", Made: made, Expires: now.Add(-time.Minute)},
		{ID: "d", Kind: access.Admin, Name: "y", Made: made, Rotated: now.Add(-time.Second), Expires: now.Add(36 * time.Hour)},
	}, now)
	for i, want := range []string{
		"id|kind|name|issuers|limits|made|last use|state",
		"a|push|广州|all||2 days ago|3 minutes ago|in force",
		"b|push|x|gz,sz|1000/s, 50 a push|2 days ago|never|revoked 1 hour ago",
		`c|scan|"gate\x1b[31m"|||2 days ago|never|expired 1 minute ago`,
		"d|admin|y|||2 days ago|never|in force, rotated 1 second ago, until " + now.Add(36*time.Hour).Local().Format("2006-01-02 15:04"),
	} {
		if got := strings.Join(rows[i], "|"); got != want {
			t.Errorf("%s\nnot %s", got, want)
		}
	}
}
