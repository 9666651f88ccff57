package origin

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge"
)

// written is a log's text, which many may write.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

// lines are those with a message, decoded.
func (w *written) lines(t *testing.T, message string) (found []map[string]any) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.text.String()) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l["msg"] == message {
			found = append(found, l)
		}
	}
	return found
}

// Each action of an operator is one line, which names him by his token's name and id, also when it is that token's end.
func TestTheJournalSaysWho(t *testing.T) {
	var log written
	o, err := Open(t.Context(), Config{
		Dir: t.TempDir(), Issuers: []string{"demo-a"}, Logger: slog.New(slog.NewJSONHandler(&log, nil)), Metrics: metrics.NewSet(),
		EdgesAt: "https://h:1",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	night := makeToken(t, o, `{"kind":"admin","name":"night shift"}`)
	as := func(status int, method, path, body string, into any) {
		t.Helper()
		if rec := callAPI(t, o, night.Token, method, path, body, into); rec.Code != status {
			t.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
		}
	}
	var made, turned MadeToken
	as(201, "POST", "/v1/tokens", `{"kind":"push","name":"feed"}`, &made)
	as(200, "DELETE", "/v1/tokens/"+made.ID, "", nil)
	as(201, "PUT", "/v1/issuers/gz", `{}`, nil)
	as(201, "PUT", "/v1/edges/gate", `{"issuers":["gz"]}`, nil)
	as(200, "DELETE", "/v1/edges/gate", "", nil)
	as(200, "POST", "/v1/tokens/"+night.ID+"/rotate", `{"overlap_s":0}`, &turned)
	night.Token = turned.Token
	as(200, "DELETE", "/v1/tokens/"+night.ID, "", nil)
	for message, want := range map[string]int{
		"a token was made": 1, "a token was revoked": 2, "an issuer was settled": 1, "an edge was enrolled": 1, "an edge was revoked": 1,
		"a token was rotated": 1,
	} {
		n := 0
		for _, l := range log.lines(t, message) {
			if l["by_id"] == night.ID && l["by"] == "night shift" {
				n++
			}
		}
		if n != want {
			t.Errorf("%q by the night shift: %d, want %d; %v", message, n, want, log.lines(t, message))
		}
	}
}

// Who approves a push of a token that was revoked meanwhile is told.
func TestAnApprovalSaysThatThePusherIsGone(t *testing.T) {
	for _, revoke := range []bool{false, true} {
		o := open(t, t.TempDir(), "demo-a")
		w := o.writers["demo-a"]
		pushOK(t, o, "demo-a", string(shortRows(2000)))
		limited(t, w, scanedge.MaxChange{Bad: 0.1, All: 0.1})
		feed := makeToken(t, o, `{"kind":"push","name":"feed"}`)
		var p scanedge.Problem
		callAPI(t, o, feed.Token, "POST", "/v1/issuers/demo-a/deltas", strings.ReplaceAll(string(shortRows(2000)), ",red", ",green"), &p)
		if p.Type != scanedge.NeedsApproval {
			t.Fatalf("%+v", p)
		}
		if revoke {
			order(t, o, http.StatusOK, "DELETE", "/v1/tokens/"+feed.ID, "", nil)
		}
		var a scanedge.Applied
		order(t, o, http.StatusOK, "POST", "/v1/issuers/demo-a/held/"+p.ID+"/approve", "", &a)
		if a.PusherRevoked != revoke {
			t.Errorf("revoked %v, the answer says %v", revoke, a.PusherRevoked)
		}
	}
}
