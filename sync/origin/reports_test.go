package origin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
)

const reports = "/v1/edges/self/reports"

// reporting is an edge's stream of reports.
type reporting struct {
	t     testing.TB
	out   *io.PipeWriter
	lines chan error // one for each line that was taken; then the end
}

// report begins a stream at a TLS listener.
func (o *tlsOrigin) report(client *http.Client) *reporting {
	o.t.Helper()
	in, out := io.Pipe()
	r := &reporting{o.t, out, make(chan error, 16)}
	req, err := http.NewRequest("POST", o.url+reports, in)
	if err != nil {
		o.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(r.lines)
		defer in.CloseWithError(io.ErrClosedPipe)
		res, err := client.Do(req)
		if err != nil {
			r.lines <- err
			return
		}
		defer res.Body.Close()
		for answers := bufio.NewReader(res.Body); ; {
			line, err := answers.ReadString('\n')
			if res.StatusCode != 200 {
				err = fmt.Errorf("%s %s", res.Status, line)
			}
			if r.lines <- err; err != nil {
				return
			}
		}
	}()
	o.t.Cleanup(func() {
		out.Close()
		for range r.lines {
		}
		<-done
	})
	return r
}

// say sends a line and returns when it was taken, or an error.
func (r *reporting) say(line string) error {
	_, err := io.WriteString(r.out, line+"\n") // fails where the answer came before the line was read
	if answer, ok := <-r.lines; ok {
		return answer
	}
	return err
}

func lineOf(t testing.TB, r access.Report) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func shows(issuer string, offset uint64) scanedge.EdgeIssuerStatus {
	return scanedge.EdgeIssuerStatus{Issuer: issuer, Ready: true, Offset: offset, Vouching: true, Agrees: true, ScrubEveryMS: 600_000}
}

// The newest report of an edge counts, and of it what is of the edge's issuers.
func TestReports(t *testing.T) {
	o := openTLS(t, "demo-a", "demo-b")
	r := o.report(o.client(o.join("one", "demo-a")))
	for i := range 3 {
		said := access.Report{Version: strings.Repeat("é", maxWhy), Scans: uint64(i), Issuers: []scanedge.EdgeIssuerStatus{
			shows("demo-b", 7), shows("nowhere", 7), shows("demo-a", uint64(i)), shows("demo-a", 9),
		}}
		if err := r.say(lineOf(t, said)); err != nil {
			t.Fatal(err)
		}
		got, known := o.fleet.get("one")
		if !known || got.last.Scans != uint64(i) || len(got.last.Issuers) != 1 || got.last.Issuers[0] != shows("demo-a", uint64(i)) ||
			len(got.last.Version) > maxWhy+3 {
			t.Errorf("line %d: %+v", i, got)
		}
	}
	for name, line := range map[string]string{"no-json": "x", "too-long": strings.Repeat(" ", access.MaxReport+1)} {
		r := o.report(o.client(o.join(name, "demo-a")))
		if err := r.say("{}"); err != nil {
			t.Fatal(err)
		}
		if err := r.say(line); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
	if err := r.say("{}"); err != nil { // the others' fault is not its own
		t.Error(err)
	}
	o.EndStreams()
	if err := <-r.lines; err != io.EOF {
		t.Errorf("an origin that stops ends it with %v", err)
	}
	if err := o.report(o.client(o.join("late", "demo-a"))).say("{}"); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("while it stops: %v", err)
	}
}

// Who was revoked says nothing any more, and what it said is forgotten with its metrics.
func TestARevokedEdgeReportsNothing(t *testing.T) {
	o := openTLS(t, "demo-a")
	client := o.client(o.join("one", "demo-a"))
	r := o.report(client)
	if err := r.say(lineOf(t, access.Report{Issuers: []scanedge.EdgeIssuerStatus{shows("demo-a", 1)}})); err != nil {
		t.Fatal(err)
	}
	has := func() string {
		var b strings.Builder
		o.cfg.Metrics.WritePrometheus(&b)
		return b.String()
	}
	if got := has(); !strings.Contains(got, `scanedge_edges{state="live"} 1`) || !strings.Contains(got, ageOf("one")) {
		t.Error(got)
	}
	if rec := call(o.API(), "DELETE", "/v1/edges/one", o.tokens.Admin, ""); rec.Code != 200 {
		t.Fatal(rec.Body)
	}
	if err := <-r.lines; err == nil {
		t.Error("the stream goes on")
	}
	if err := o.report(client).say("{}"); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("it is back: %v", err)
	}
	if o.fleet.put("one", access.Report{}, func() bool { return false }) { // a line that was under way
		t.Error("taken")
	}
	if _, known := o.fleet.get("one"); known {
		t.Error("what it said is kept")
	}
	if got := has(); strings.Contains(got, ageOf("one")) || !strings.Contains(got, `scanedge_edges{state="live"} 0`) {
		t.Error(got)
	}
}

// A stream that nothing comes on is ended.
func TestASilentReporterIsEnded(t *testing.T) {
	setFor(t, &reportSilence, 100*time.Millisecond)
	o := openTLS(t, "demo-a")
	r := o.report(o.client(o.join("one", "demo-a")))
	if err := r.say("{}"); err != nil {
		t.Fatal(err)
	}
	if err := <-r.lines; err == nil {
		t.Error("an answer to nothing")
	}
}

// Edges say when scanner keys were used; of other tokens nobody believes them.
func TestReportsOfKeys(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	ids := map[access.Kind]string{}
	for _, k := range o.access.List() {
		ids[k.Kind] = k.ID
	}
	before := time.Now().Unix() - 100
	used := map[string]int64{ids[access.Scan]: before, ids[access.Push]: before, ids[access.Admin]: before, "nobody": before}
	if rec := call(asEdge(t, o), "POST", reports, "", lineOf(t, access.Report{Used: used})); rec.Code != 200 {
		t.Fatal(rec.Body)
	}
	for _, k := range o.access.List() {
		if k.Kind == access.Scan && k.Used.Unix() != before || k.Kind != access.Scan && !k.Used.IsZero() {
			t.Errorf("%+v", k)
		}
	}
	ahead := map[string]int64{ids[access.Scan]: time.Now().Unix() + 1e6}
	call(asEdge(t, o), "POST", reports, "", lineOf(t, access.Report{Used: ahead})+"\n"+lineOf(t, access.Report{Used: used}))
	for _, k := range o.access.List() {
		if k.Kind == access.Scan && (k.Used.After(time.Now()) || k.Used.Unix() <= before) {
			t.Errorf("%+v", k)
		}
	}
}
