package table

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

// full is a result with all figures, as if of a run.
func full(subjects uint64) *Result {
	r := newResult(subjects)
	r.Machine.Processor = "<A & B>"
	r.BytesLoaded, r.BytesLoadingMax, r.BytesGrown, r.BytesGrowingMax, r.BytesGrowingMost = 13.75, 13.8, 15, 16.75, 17
	r.GrowingFrom, r.LinesPerHit, r.LinesPerMiss, r.Allocs = 10_000_000, 1.25, 1.0625, new(float64)
	for i, name := range []string{loopKeys, loopLines, loopBatch, loopStream, loopMiss, loopChase, loopChain, "fastcache", "map", "xsync",
		besideRival + "fastcache", besideRival + "map", besideRival + "xsync", loopAlone, loopBeside, loopPuts, loopSinglePuts} {
		v := float64(10 * (i + 1))
		r.Rounds[name] = []float64{v + 5, v, v - 5}
	}
	for name := range rivals {
		r.Rivals[name] = Rival{Bytes: 40}
	}
	r.Tails = &Tails{Growing: Tail{Samples: 12_345_678, P9999: 30_000, Max: 5_000_000}, GrowingOverRest: 1500}
	r.Inserts, r.WriterRate, r.SnapshotBytes, r.SnapshotRead, r.SnapshotWrite, r.ScrubSeconds = 2e6, 1e6, 2.8e8, 1.5, 2.5, 0.25
	r.Skipped["somebody"] = "had no room"
	r.Seconds = 41
	r.derive()
	return r
}

func TestDerive(t *testing.T) {
	r := full(20_000_000)
	for name, c := range map[string][2]float64{
		"chase": {r.Chase, 60}, "chain over chase": {r.ChainVsChase, 70. / 60}, "stream over lines": {r.StreamVsLines, 2},
		"batch over lines": {r.BatchVsLines, 1.5}, "fastcache": {r.StreamVsFastcache, 80. / 110}, "map": {r.StreamVsMap, 90. / 120},
		"puts": {r.Puts, 1e9 / 160}, "beside": {r.BesideVsAlone, 150. / 140}, "slowdown": {r.SlowdownBeside, 150./140 - 1},
		"rival": {r.Rivals["xsync"].Table, 130}, "rival's bytes": {r.Rivals["xsync"].Bytes, 40},
	} {
		if d := c[0] - c[1]; d > 1e-9 || d < -1e-9 {
			t.Errorf("%s is %g, want %g", name, c[0], c[1])
		}
	}
	for name, want := range map[string]bool{
		"bytes_per_subject_loaded": true, "bytes_per_subject_growing_max": false, "chain_vs_chase": true, "stream_vs_fastcache": false,
		"tails.growing_over_rest_p9999_ns": true, "allocations_per_lookup": true, "scrub_seconds": true, "puts_per_second": true,
	} {
		if g, ok := r.Goal(name); !ok || g.OK != want || !g.Promised {
			t.Errorf("%s: %+v, %v", name, g, ok)
		}
	}
	if g, _ := full(1_000_000).Goal("chain_vs_chase"); g.Promised {
		t.Error("a million subjects have promises")
	}
	empty := newResult(1)
	empty.derive()
	if len(empty.Goals) != 0 || empty.Rivals["map"] != (Rival{}) {
		t.Errorf("of nothing follows %+v", empty)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		of   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 9, 1, 2}, 3}} {
		if got := median(c.of); got != c.want {
			t.Errorf("the median of %v is %g", c.of, got)
		}
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := full(20_000_000).Text(&b); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"20,000,000 subjects", "after a snapshot load 13.75 at most 14 ok", "from 10 M on 16.75 at most 16.5 MISSED",
		"record before 70.0 65.0 to 75.0 1.17 x floor at most 1.3 ok", "allocations a lookup 0 none ok",
		"fastcache 80.0 75.0 to 85.0 0.7 x 110.0 at least 8 MISSED", "by PutMany 6,250,000 at least 5,000,000 ok",
		"while it grows 12,345,678", "at p99.99 1500 at most 20,000 ok", "somebody: had no room", "measured in 41 s",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	for line := range strings.Lines(b.String()) {
		if len([]rune(line)) > 121 {
			t.Errorf("too wide: %s", line)
		}
	}
	b.Reset()
	if err := full(1_000_000).Text(&b); err != nil || !strings.Contains(b.String(), "(missed)") || strings.Contains(b.String(), "MISSED") {
		t.Errorf("%v, %s", err, b.String())
	}
	if err := newResult(5).Text(io.Discard); err != nil {
		t.Error(err)
	}
}

func TestMarkdown(t *testing.T) {
	var b strings.Builder
	small := full(1_500_000)
	small.Rivals = nil
	if err := Markdown(&b, []*Result{full(20_000_000), small}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[2], "| 1.5 M | 13.8, 16.8 |") || !strings.HasSuffix(lines[2], "| – | – | – |") ||
		!strings.HasSuffix(lines[3], "| 40, 80 | 40, 90 | 40, 100 |") {
		t.Errorf("%s", b.String())
	}
	for _, line := range lines {
		if strings.Count(line, "|") != strings.Count(lines[0], "|") {
			t.Errorf("not as many cells as the head: %s", line)
		}
	}
}

func TestPlotIsWellFormed(t *testing.T) {
	none := full(900_000_000)
	none.Rivals = nil
	for name, results := range map[string][]*Result{
		"nothing": nil, "one": {full(1000)}, "many": {none, full(1_000_000), full(20_000_000)}, "not measured": {newResult(5)},
	} {
		var b strings.Builder
		if err := Plot(&b, results); err != nil {
			t.Fatal(err)
		}
		texts := ""
		for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
			token, err := d.Token()
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v in %s", name, err, b.String())
			}
			if s, ok := token.(xml.CharData); ok {
				texts += string(s) + "\n"
			}
		}
		if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
			t.Errorf("%s: a place that is no number in %s", name, b.String())
		}
		if name == "many" {
			for _, want := range []string{"900 M", "chain of lookups", "fastcache", "<A & B>"} {
				if !strings.Contains(texts, want) {
					t.Errorf("%s: no text %q", name, want)
				}
			}
		}
	}
}

func TestParseReadsWhatWasWritten(t *testing.T) {
	want, err := json.Marshal(full(3000))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(want), "\n [" + string(want) + "," + string(want) + "]"} {
		results, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if got, _ := json.Marshal(r); string(got) != string(want) {
				t.Errorf("got %s\nwant %s", got, want)
			}
		}
	}
	for _, text := range []string{"", "wat", "{}", "[null]", `{"subjects":"many"}`} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
