package table

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Markdown writes one table of the results of several sizes.
func Markdown(w io.Writer, results []*Result) error {
	var b strings.Builder
	b.WriteString("| subjects | bytes a subject: loaded, growing at most | chain, its floor (ns) | stream, its floor (ns) | batch (ns) | miss (ns) | puts/s |")
	names := []string{"fastcache", "map", "xsync"}
	for _, name := range names {
		fmt.Fprintf(&b, " %s: bytes, stream (ns) |", name)
	}
	b.WriteString("\n|" + strings.Repeat("---:|", 7+len(names)) + "\n")
	for _, r := range bySize(results) {
		fmt.Fprintf(&b, "| %s | %s, %s | %s, %s | %s, %s | %s | %s | %s |", millions(float64(r.Subjects)),
			figure(r.BytesLoaded, "%.1f"), figure(r.BytesGrowingMax, "%.1f"), figure(r.Chain, "%.0f"), figure(r.Chase, "%.0f"),
			figure(r.Stream, "%.0f"), figure(r.Lines, "%.0f"), figure(r.Batch, "%.0f"), figure(r.Miss, "%.0f"), figure(r.Puts/1e6, "%.1f M"))
		for _, name := range names {
			rv := r.Rivals[name]
			fmt.Fprintf(&b, " %s, %s |", figure(rv.Bytes, "%.0f"), figure(rv.Stream, "%.0f"))
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, strings.ReplaceAll(b.String(), "–, –", "–"))
	return err
}

// bySize is the results in the order of their sizes.
func bySize(results []*Result) []*Result {
	return slices.SortedStableFunc(slices.Values(results), func(a, b *Result) int { return int(a.Subjects) - int(b.Subjects) })
}

// figure is a figure, or a dash for one that was not measured.
func figure(v float64, format string) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}

// millions reads like "20 M", or "1,500" below a million.
func millions(n float64) string {
	if n < 1e6 {
		return grouped(n)
	}
	return fmt.Sprintf("%.4g M", n/1e6)
}
