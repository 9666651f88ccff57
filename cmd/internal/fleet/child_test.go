package fleet

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLastLinesAreOfThisLifeAndFew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	write := func(text string) (from int64) {
		t.Helper()
		log, from, err := openLog(path)
		must(t, err)
		defer log.Close()
		_, err = log.WriteString(text)
		must(t, err)
		return from
	}
	write("an earlier life\n")
	from := write("one\n\ntwo")
	if got, want := lastLines(path, from), []string{"one", "", "two"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := lastLines(path, write("\n\n")); got != nil {
		t.Errorf("a life without words left %q", got)
	}
	var many strings.Builder
	for i := range 5000 { // under lastBytes
		fmt.Fprintf(&many, "line %d\n", i)
	}
	got := lastLines(path, write(many.String()))
	if len(got) != lastCount || got[0] != "line 4980" || got[lastCount-1] != "line 4999" {
		t.Errorf("the end of many lines is %q", got)
	}
	if got := lastLines(path, write(strings.Repeat("x", 2*lastBytes)+"\nend\n")); !slices.Equal(got, []string{"end"}) {
		t.Errorf("after a line that is too long to show: %q", got)
	}
	got = lastLines(path, write("before\npanic: too bad\n\n"+many.String()))
	if len(got) != lastCount || got[0] != "panic: too bad" || got[2] != "line 0" {
		t.Errorf("of a crash with a long report, %q is shown", got)
	}
	got = lastLines(path, write("before\nfatal error: too bad\nafter\n"))
	if want := []string{"before", "fatal error: too bad", "after"}; !slices.Equal(got, want) {
		t.Errorf("of a crash with a short report, %q is shown", got)
	}
	if got := lastLines(path+"none", 0); got != nil {
		t.Errorf("a log that is not there: %q", got)
	}

	write(strings.Repeat("0123456789\n", 1<<20))
	if from := write("new\n"); from != 0 {
		t.Errorf("a log over its limit went on at %d", from)
	}
	if got := readFile(t, path); got != "new\n" {
		t.Errorf("a log over its limit is now %d bytes", len(got))
	}
}

func TestPinKeepsTheHostAndTakesThePort(t *testing.T) {
	for _, c := range []struct{ addr, got, want string }{
		{"127.0.0.1:0", "http://127.0.0.1:41234", "127.0.0.1:41234"},
		{"0.0.0.0:0", "http://127.0.0.1:41234", "0.0.0.0:41234"},
		{":0", "http://[::1]:41234", ":41234"},
		{"[::1]:0", "http://[::1]:4222", "[::1]:4222"},
		{"127.0.0.1:7", "http://127.0.0.1:7", "127.0.0.1:7"},
		{"127.0.0.1:0", "nonsense", "127.0.0.1:0"},
	} {
		if got := pin(c.addr, c.got); got != c.want {
			t.Errorf("asked for %s, got %s: pinned to %s, want %s", c.addr, c.got, got, c.want)
		}
	}
}

func TestChildrenDoNotTakeTheFleetsSettings(t *testing.T) {
	got := childEnv([]string{"PATH=/bin", "SCANEDGE_CONFIG=up.yaml", "HOME=/", "SCANEDGE_EDGES=3"})
	if want := []string{"PATH=/bin", "HOME=/"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
