package main

import (
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/scanedge/scanedge/bench/load"
)

// seen is a view of two seconds on a terminal of that size, as lines of the second one.
func seen(t *testing.T, width, height int, p load.Progress) []string {
	t.Helper()
	var out strings.Builder
	v := &dayView{screen: screen{out: &out, size: func() (int, int) { return width, height }}, over: 20 * time.Second}
	v.show(time.Second, load.Progress{Planned: 3000, Answered: 2000, Visits: 6000})
	first := strings.Count(out.String(), "\n")
	out.Reset()
	v.show(3*time.Second, p)
	up, rest, found := strings.Cut(strings.TrimPrefix(out.String(), "\r\x1b["), "A")
	if !found || up != grouped(first) {
		t.Errorf("%d × %d: the cursor went up by %q, not %d", width, height, up, first)
	}
	rest = strings.NewReplacer(clearRight, "", clearBelow, "").Replace(rest)
	return strings.Split(strings.TrimSuffix(rest, "\r\n"), "\r\n")
}

func TestBenchDayOnATerminal(t *testing.T) {
	p := load.Progress{
		Planned: 9000, Sent: 9000, Answered: 8996, Wrong: 2, Failed: 3, Refused: 1, Visits: 12_000,
		P50: 0.5, P99: 1.25, P999: 3, Lag: 0.125, Visible: 4.5,
	}
	want := `[======                                  ]   15 %  17s left
errors   wrong 2  failed 3  refused 1
rate     planned 3,000/s  answered 3,498/s  3,000 visits/s
latency  p50 0.50  p99 1.25  p99.9 3.00 ms
lag      p99 0.12 ms, by the generator
visible  p99 4.5 ms from push to the last edge
so far   planned 9,000  sent 9,000  answered 8,996`
	if got := strings.Join(seen(t, 100, 24, p), "\n"); got != want {
		t.Errorf("the terminal shows\n%s\nwant\n%s", got, want)
	}
	p.Visible = 0
	if got := seen(t, 100, 24, p); !strings.Contains(got[5], "no turn") {
		t.Errorf("the terminal shows %q", got)
	}
}

// On whatever terminal, no line is as wide as it, and there are fewer lines than it has.
func TestBenchDayOnASmallTerminal(t *testing.T) {
	for _, width := range []int{2, 5, 12, 20, 30, 31, 60, 80} {
		for _, height := range []int{1, 2, 5, 30} {
			got := seen(t, width, height, load.Progress{Planned: 1e12, Sent: 1e12, Answered: 1e12, P99: 1e5})
			if len(got) > max(1, height-1) {
				t.Errorf("%d × %d: %d lines", width, height, len(got))
			}
			for _, l := range got {
				if runewidth.StringWidth(l) >= width {
					t.Errorf("%d × %d: %q", width, height, l)
				}
			}
		}
	}
}

// Off a terminal it is a line a second, and the last wait is said.
func TestBenchDayElsewhereAndAtTheEnd(t *testing.T) {
	var out strings.Builder
	dayProgress(screen{out: &out}, time.Second)(time.Second, load.Progress{Planned: 3})
	if !strings.HasPrefix(out.String(), "   1s  planned 3  sent 0") {
		t.Errorf("printed %q", out.String())
	}
	v := &dayView{over: 2 * time.Second}
	if got := v.bar(3*time.Second, 200); !strings.HasSuffix(got, "]  100 %  waiting for the last answers") {
		t.Errorf("the bar is %q", got)
	}
}
