package delta

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"
)

// checkSplit holds our splitter against encoding/csv on a single line: the same fields, or an error by both.
func checkSplit(t *testing.T, line string) {
	r := csv.NewReader(strings.NewReader(line))
	want, err := r.Read()
	columns := make([][]byte, len(line)+1)
	n, why := split([]byte(line), columns)
	if (why == "") != (err == nil) {
		t.Fatalf("%q: %q, but encoding/csv: %v", line, why, err)
	}
	if err == nil && !slices.EqualFunc(columns[:n], want, func(b []byte, s string) bool { return string(b) == s }) {
		t.Fatalf("%q: %q, but encoding/csv: %q", line, columns[:n], want)
	}
	few := make([][]byte, 1) // more fields than columns are counted, not kept
	if m, _ := split([]byte(line), few); m != n || n > 0 && !bytes.Equal(few[0], columns[0]) {
		t.Fatalf("%q into one column: %d fields, %q; want %d, %q", line, m, few, n, columns[:1])
	}
}

// TestSplitAll tries every line of up to eight characters that matter.
func TestSplitAll(t *testing.T) {
	lines := []string{""}
	for range 8 {
		var longer []string
		for _, line := range lines {
			for _, c := range []string{"a", ",", `"`} {
				checkSplit(t, line+c)
				longer = append(longer, line+c)
			}
		}
		lines = longer
	}
}

func FuzzSplit(f *testing.F) {
	for _, line := range []string{` "a"`, "\xff,é", "a\r,\"\x00\"\"\""} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if line == "" || strings.Contains(line, "\n") || strings.HasSuffix(line, "\r") {
			return // not what is left of a line
		}
		checkSplit(t, line)
	})
}
