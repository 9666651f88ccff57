package load

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// The lines of the log add up to the result: nothing is counted twice, nothing is left out at the end.
func TestSecondsAddUpToTheResult(t *testing.T) {
	p := plan(Constant{550, 1200 * time.Millisecond}, plain, serve(t, "a", echo(func(path string, ctx *fasthttp.RequestCtx) {
		switch {
		case strings.HasSuffix(path, "1"):
			ctx.SetStatusCode(http.StatusTooManyRequests)
		case strings.HasSuffix(path, "2"):
			ctx.SetBodyString("/another")
		}
	})))
	p.Dir = t.TempDir()
	logged := 0
	p.Progress = func(time.Duration, Progress) { logged = len(seconds(t, p.Dir)) } // it grows as the run goes
	r, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	all := seconds(t, p.Dir)
	if logged == 0 || len(all) <= logged || Reasons(r) == nil || r.Unlogged != "" {
		t.Errorf("%d lines while it ran, %d after; %q", logged, len(all), r.Unlogged)
	}
	var sum Second
	sum.Outcomes = map[Outcome]uint64{}
	heat := uint64(0)
	for i, s := range all {
		if s.Second != i {
			t.Errorf("line %d is of second %d", i, s.Second)
		}
		sum.Planned, sum.Sent, sum.Answered, sum.Wrong = sum.Planned+s.Planned, sum.Sent+s.Sent, sum.Answered+s.Answered, sum.Wrong+s.Wrong
		sum.Latency.Count, sum.Lag.Count = sum.Latency.Count+s.Latency.Count, sum.Lag.Count+s.Lag.Count
		for o, n := range s.Outcomes {
			sum.Outcomes[o] += n
		}
		for _, n := range s.Heat {
			heat += uint64(n)
		}
	}
	if sum.Planned != 550 || sum.Sent != 550 || sum.Answered != 550 || heat != 550 || sum.Latency.Count != 550 || sum.Lag.Count != 550 {
		t.Errorf("%+v, heat %d", sum, heat)
	}
	if sum.Wrong != 55 || sum.Outcomes[Refused] != 55 || sum.Outcomes["right"] != 440 || sum.Outcomes["other"] != 55 {
		t.Errorf("%+v", sum)
	}
}

func seconds(t *testing.T, dir string) (all []Second) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, SecondsFile))
	if err != nil {
		t.Error(err)
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var s Second
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Errorf("%v in %s", err, lines.Text())
		}
		all = append(all, s)
	}
	return all
}

func TestHeatBuckets(t *testing.T) {
	for latency, want := range map[time.Duration]int{
		-1: 0, 0: 0, 249 * time.Microsecond: 0, 250 * time.Microsecond: 1, 499 * time.Microsecond: 1, 500 * time.Microsecond: 2,
		8191 * time.Millisecond: 15, 8192 * time.Millisecond: 16, time.Hour: 16,
	} {
		got := heatBucket(latency)
		if got != want || got < HeatBuckets-1 && (latency >= HeatBound(got) || got > 0 && latency < HeatBound(got-1)) {
			t.Errorf("%v is in bucket %d, want %d", latency, got, want)
		}
	}
}

// A log that can't be written is no reason to stop, but one not to believe.
func TestALogThatCannotBeWritten(t *testing.T) {
	p := plan(Constant{10, 10 * time.Millisecond}, plain, serve(t, "a", echo(same)))
	p.Dir = t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(p.Dir, SecondsFile)); err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if why := Reasons(r); len(why) != 1 || !strings.HasPrefix(why[0], "the log of seconds is not whole: ") {
		t.Errorf("reasons %q", why)
	}
	p.Dir = filepath.Join(p.Dir, "none")
	if _, err := Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "log of seconds") {
		t.Errorf("error %v", err)
	}
}
