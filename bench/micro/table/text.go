package table

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Text writes the result for people.
func (r *Result) Text(w io.Writer) error {
	var s sheet
	s.title("%s subjects in the status table; %s", grouped(float64(r.Subjects)), r.Machine)
	s.memory(r)
	s.lookups(r)
	s.rivals(r)
	s.writing(r)
	s.tails(r)
	s.snapshot(r)
	s.skipped(r)
	s.title("measured in %.0f s; marks in brackets are of goals that hold from more subjects on", r.Seconds)
	_, err := io.WriteString(w, s.String())
	return err
}

// String reads like "go1.26.1 linux/amd64, AMD EPYC, 2 processors, 25.3 GB".
func (m *Machine) String() string {
	if m == nil {
		return "on an unknown machine"
	}
	s := m.Go + " " + m.System
	if m.Processor != "" {
		s += ", " + m.Processor
	}
	s += fmt.Sprintf(", %d processors", m.Processors)
	if m.Memory > 0 {
		s += fmt.Sprintf(", %.1f GB", float64(m.Memory)/1e9)
	}
	return s
}

// sheet is lines of cells: what was measured, the value, its spread, a comparison, the goal. A line of one cell is not aligned.
type sheet struct{ rows [][]string }

const valueCell = 1 // it stands to the right

func (s *sheet) title(format string, a ...any) {
	if len(s.rows) > 0 {
		s.line("")
	}
	s.line(fmt.Sprintf(format, a...))
}

func (s *sheet) line(text string) { s.rows = append(s.rows, []string{text}) }

// row adds what was measured; a value of 0 was not.
func (s *sheet) row(what string, value float64, format string, cells ...string) {
	if value != 0 {
		s.add(what, fmt.Sprintf(format, value), cells...)
	}
}

func (s *sheet) add(what, value string, cells ...string) {
	s.rows = append(s.rows, append([]string{"  " + what, value}, cells...))
}

func (s *sheet) String() string {
	widths := map[int]int{}
	for _, row := range s.rows {
		for i, cell := range row {
			if len(row) > 1 {
				widths[i] = max(widths[i], utf8.RuneCountInString(cell))
			}
		}
	}
	var b strings.Builder
	for _, row := range s.rows {
		line := row[0]
		if len(row) > 1 {
			line = ""
			for i, cell := range row {
				pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
				if i == valueCell {
					cell = pad + cell + "  "
				} else {
					cell += pad + "  "
				}
				line += cell
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

func (s *sheet) memory(r *Result) {
	s.title("memory: resident bytes a subject, above the same process with an empty table")
	s.row("after a snapshot load", r.BytesLoaded, "%.2f", "", "", r.goal("bytes_per_subject_loaded"))
	s.row("while it loads, at most", r.BytesLoadingMax, "%.2f")
	s.row(fmt.Sprintf("growing by single puts, at most, from %s on", millions(float64(r.GrowingFrom))),
		r.BytesGrowingMax, "%.2f", "", "", r.goal("bytes_per_subject_growing_max"))
	s.row("growing by single puts, at most, from 1 M on", r.BytesGrowingMost, "%.2f")
	for _, name := range slices.Sorted(maps.Keys(r.Rivals)) {
		s.row(name, r.Rivals[name].Bytes, "%.2f")
	}
}

func (s *sheet) lookups(r *Result) {
	s.title("lookups: ns each on one core, keys at random; median, lowest and highest of %d rounds in turns", len(r.Rounds[loopStream]))
	loop := func(what, name string, value float64, cells ...string) {
		s.row(what, value, "%.1f", append([]string{spread(r.Rounds[name])}, cells...)...)
	}
	loop("chase: each line from the line before; the floor", loopChase, r.Chase)
	loop("chain: each key from the record before", loopChain, r.Chain, times(r.ChainVsChase), r.goal("chain_vs_chase"))
	loop("independent lines; the floor", loopLines, r.Lines)
	loop("stream: independent keys", loopStream, r.Stream, times(r.StreamVsLines), r.goal("stream_vs_lines"))
	loop(fmt.Sprintf("stream in batches of %d", blockKeys), loopBatch, r.Batch, times(r.BatchVsLines), r.goal("batch_vs_lines"))
	loop("stream of keys that are not there", loopMiss, r.Miss, times(r.MissVsLines))
	loop("making the keys, in all but the floors", loopKeys, r.Keys)
	s.row("cache lines a hit", r.LinesPerHit, "%.3f")
	s.row("cache lines a miss", r.LinesPerMiss, "%.3f", "", "", r.goal("lines_per_miss"))
	if r.Allocs != nil {
		s.add("allocations a lookup", fmt.Sprintf("%.2g", *r.Allocs), "", "", "none  "+r.mark("allocations_per_lookup"))
	}
}

func (s *sheet) rivals(r *Result) {
	if len(r.Rivals) == 0 {
		return
	}
	s.title("rivals with the same content: ns a lookup in a stream, and how many times the table's in turns with it")
	for _, name := range slices.Sorted(maps.Keys(r.Rivals)) {
		rv := r.Rivals[name]
		s.row(name, rv.Stream, "%.1f", spread(r.Rounds[name]),
			fmt.Sprintf("%.1f x %.1f", ratio(rv.Stream, rv.Table), rv.Table), r.goal("stream_vs_"+name))
	}
}

func (s *sheet) writing(r *Result) {
	s.title("puts a second on one core")
	s.add("of subjects that are there, by PutMany", grouped(r.Puts), "", "", r.goal("puts_per_second"))
	s.add("of subjects that are there, by Put", grouped(r.SinglePuts))
	s.add("of new subjects, by Put, beside a reader", grouped(r.Inserts))
	s.title("a stream of lookups beside %s puts a second on another core", grouped(r.WriterRate))
	s.row("alone, ns", median(r.Rounds[loopAlone]), "%.1f", spread(r.Rounds[loopAlone]))
	s.row("beside, ns", median(r.Rounds[loopBeside]), "%.1f", spread(r.Rounds[loopBeside]),
		fmt.Sprintf("%.2f x alone", r.BesideVsAlone), r.goal("stream_beside_writer_vs_alone"))
}

func (s *sheet) tails(r *Result) {
	if r.Tails == nil {
		return
	}
	s.title("tails: single lookups of subjects that are there, ns; the clock and all that happens beside them included")
	s.line(fmt.Sprintf("  %-28s %12s %8s %8s %8s %8s %10s", "", "samples", "p50", "p99", "p99.9", "p99.99", "max"))
	for _, l := range []struct {
		what string
		Tail
	}{{"the timing loop alone", r.Tails.Empty}, {"a table at rest", r.Tails.AtRest}, {"while it grows", r.Tails.Growing}} {
		s.line(fmt.Sprintf("  %-28s %12s %8d %8d %8d %8d %10d", l.what, grouped(float64(l.Samples)),
			l.P50, l.P99, l.P999, l.P9999, l.Max))
	}
	s.add("growing over at rest at p99.99", fmt.Sprint(r.Tails.GrowingOverRest), "", "", r.goal("tails.growing_over_rest_p9999_ns"))
}

func (s *sheet) snapshot(r *Result) {
	s.title("snapshot of %.1f MB, one core", float64(r.SnapshotBytes)/1e6)
	s.row("written, GB/s", r.SnapshotWrite, "%.2f")
	s.row("read, GB/s", r.SnapshotRead, "%.2f", "", "", r.goal("snapshot_read_gb_per_second"))
	s.row("all shards scrubbed, s", r.ScrubSeconds, "%.3f", "", "", r.goal("scrub_seconds"))
}

func (s *sheet) skipped(r *Result) {
	if len(r.Skipped) == 0 {
		return
	}
	s.title("not measured")
	for _, name := range slices.Sorted(maps.Keys(r.Skipped)) {
		s.line("  " + name + ": " + r.Skipped[name])
	}
}

// goal reads like "at most 3  ok".
func (r *Result) goal(name string) string {
	g, ok := r.Goal(name)
	if !ok {
		return ""
	}
	limit := "at most " + short(g.AtMost)
	if g.AtLeast > 0 {
		limit = "at least " + short(g.AtLeast)
	}
	return limit + "  " + r.mark(name)
}

// mark says whether a goal is kept, in brackets where it is not promised.
func (r *Result) mark(name string) string {
	g, _ := r.Goal(name)
	mark := "MISSED"
	if g.OK {
		mark = "ok"
	}
	if !g.Promised {
		mark = "(" + strings.ToLower(mark) + ")"
	}
	return mark
}

func short(v float64) string {
	if v >= 1e4 {
		return grouped(v)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

func times(ratio float64) string { return fmt.Sprintf("%.2f x floor", ratio) }

func spread(rounds []float64) string {
	if len(rounds) == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f to %.1f", slices.Min(rounds), slices.Max(rounds))
}

// grouped is a whole number in groups of three digits.
func grouped(v float64) string {
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
