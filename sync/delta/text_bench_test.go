package delta

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// pushOf makes a push of n lines as an authority would: ids of ten characters, each third with an until, each fifth with a
// reason, each fiftieth a removal.
func pushOf(f Format, n int) []byte {
	var b bytes.Buffer
	if f == CSV {
		b.WriteString("subject,status,until,reason,remove\n")
	}
	words := [...]string{"green", "yellow", "red", "void"}
	for i := range n {
		word, until, reason, remove := words[i%len(words)], "", "", ""
		if i%3 == 0 {
			until = fmt.Sprintf("2031-%02d-%02dT%02d:%02d:00Z", i%12+1, i%28+1, i%24, i%60)
		}
		if i%5 == 0 {
			reason = fmt.Sprint(i % 64)
		}
		if i%50 == 49 {
			word, until, reason, remove = "", "", "", "true"
		}
		if f == CSV {
			fmt.Fprintf(&b, "d%09d,%s,%s,%s,%s\n", i, word, until, reason, remove)
			continue
		}
		fmt.Fprintf(&b, `{"subject":"d%09d"`, i)
		for _, m := range [][2]string{{"status", word}, {"until", until}} {
			if m[1] != "" {
				fmt.Fprintf(&b, `,%q:%q`, m[0], m[1])
			}
		}
		for _, m := range [][2]string{{"reason", reason}, {"remove", remove}} {
			if m[1] != "" {
				fmt.Fprintf(&b, `,%q:%s`, m[0], m[1])
			}
		}
		b.WriteString("}\n")
	}
	return b.Bytes()
}

func BenchmarkRead(b *testing.B) {
	const lines = 100_000
	for _, f := range []Format{NDJSON, CSV} {
		b.Run(strings.ToLower(f.String()), func(b *testing.B) {
			push := pushOf(f, lines)
			b.SetBytes(int64(len(push)))
			b.ReportAllocs()
			for b.Loop() {
				if n, err := Read(bytes.NewReader(push), f, DefaultLimits, func(Row) {}); n != lines || err != nil {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(b.N)*lines/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

// TestReadAllocations: what Read allocates does not grow with the lines.
func TestReadAllocations(t *testing.T) {
	for _, f := range []Format{NDJSON, CSV} {
		allocs := func(lines int) float64 {
			push := pushOf(f, lines)
			return testing.AllocsPerRun(3, func() {
				if n, err := Read(bytes.NewReader(push), f, DefaultLimits, func(Row) {}); n != lines || err != nil {
					t.Fatal(n, err)
				}
			})
		}
		const renewed = 2 // a buffer that the collector took out of its pool meanwhile
		if one, many := allocs(1), allocs(50_000); many > one+renewed {
			t.Errorf("%s: %v allocations for 50,000 lines, %v for one", f, many, one)
		}
	}
}
