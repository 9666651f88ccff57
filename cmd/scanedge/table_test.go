package main

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scanedge/scanedge/bench/micro/table"
	"github.com/scanedge/scanedge/cache"
)

// snapshotOf writes a snapshot of so many subjects.
func snapshotOf(t *testing.T, subjects int) string {
	t.Helper()
	tab, seed := new(cache.Table), cache.NewSeed()
	tab.Describe("demo-a", cache.SeedID{0xab, 0xcd})
	tab.Begin(cache.Position{Offset: 17, Hash: [32]byte{0xab, 0xcd, 0xef, 0x01, 0x23}})
	for i := range subjects {
		tab.Put(seed.Key([]byte{byte(i), byte(i >> 8), byte(i >> 16)}), cache.Record(i))
	}
	tab.End()
	file := filepath.Join(t.TempDir(), "snapshot")
	f, err := os.Create(file)
	if err == nil {
		_, err = tab.WriteTo(f)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// damaged writes a copy of a file after it was changed.
func damaged(t *testing.T, file string, change func([]byte) []byte) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "damaged", string(change(b)))
}

func TestTableInspect(t *testing.T) {
	file := snapshotOf(t, 12_345)
	out, err := verb(t.Context(), nil, "table", "inspect", file)
	wantExit(t, err, 0)
	for _, want := range []string{
		"issuer    demo-a\n", "seed id   abcd000000000000\n", "began     at offset 17 (abcdef01); ", "subjects  12,345\n", "sections  128, of ", " bytes\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	out, err = verb(t.Context(), nil, "table", "inspect", "--json", file)
	wantExit(t, err, 0)
	var s inspected
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	sum, info := uint64(0), must(os.Stat(file))
	for _, section := range s.Sections {
		sum += section.Subjects
	}
	if s.Subjects != 12_345 || sum != s.Subjects || s.Fill <= 0 || s.Fill > 1 || s.Began != 17 || !strings.HasPrefix(s.Hash, "abcdef0123") || s.To != 17 || s.Bytes != info.Size() || len(s.Sections) != cache.Shards {
		t.Errorf("%s", out)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestTableVerify(t *testing.T) {
	file := snapshotOf(t, 5000)
	out, err := verb(t.Context(), nil, "table", "verify", file)
	wantExit(t, err, 0)
	if !strings.HasPrefix(out, file+" is whole: issuer demo-a, 5,000 subjects, digest ") {
		t.Error(out)
	}
	out, err = verb(t.Context(), nil, "table", "verify", "--json", file)
	var v verified
	if jerr := json.Unmarshal([]byte(out), &v); err != nil || jerr != nil || !v.Whole || v.Subjects != 5000 || v.Issuer != "demo-a" {
		t.Errorf("%v, %v, %s", err, jerr, out)
	}
	for name, change := range map[string]func([]byte) []byte{
		"cut short":    func(b []byte) []byte { return b[:len(b)-1] },
		"cut in two":   func(b []byte) []byte { return b[:len(b)/2] },
		"empty":        func([]byte) []byte { return nil },
		"flipped head": func(b []byte) []byte { b[20] ^= 1; return b },
		"flipped":      func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b },
		"goes on":      func(b []byte) []byte { return append(b, 0) },
		"no snapshot":  func([]byte) []byte { return []byte(strings.Repeat("wat", 100)) },
	} {
		bad := damaged(t, file, change)
		out, err := verb(t.Context(), nil, "table", "verify", bad)
		wantExit(t, err, exitFailure, bad+" is not whole: ")
		if out != "" {
			t.Errorf("%s: it prints %q", name, out)
		}
		out, err = verb(t.Context(), nil, "table", "verify", "--json", bad)
		wantExit(t, err, exitFailure, "is not whole")
		var v verified
		if err := json.Unmarshal([]byte(out), &v); err != nil || v.Whole || v.Why == "" {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
	_, err = verb(t.Context(), nil, "table", "inspect", damaged(t, file, func(b []byte) []byte { return b[:len(b)-1] }))
	wantExit(t, err, exitFailure, "cut short")
	for _, v := range []string{"inspect", "verify"} {
		_, err = verb(t.Context(), nil, "table", v, filepath.Join(t.TempDir(), "none"))
		wantExit(t, err, exitFailure, "none: no such file")
		_, err = verb(t.Context(), nil, "table", v)
		wantExit(t, err, exitUsage, "accepts 1 arg(s)")
	}
}

func TestTableBenchUsage(t *testing.T) {
	garbage := write(t, "garbage.json", "[{]")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"few":           {[]string{"--subjects", "999"}, "--subjects is 999; it must be 1000 to 2000000000"},
		"many":          {[]string{"--subjects", "1000000,2000000001"}, "--subjects is 2000000001"},
		"no number":     {[]string{"--subjects", "20M"}, `"20M" for "--subjects"`},
		"forms":         {[]string{"--json", "--markdown"}, "give one"},
		"from and size": {[]string{"--from", garbage, "--subjects", "1000"}, "give one"},
		"from none":     {[]string{"--from", "none.json"}, "--from: open none.json"},
		"garbage":       {[]string{"--from", garbage}, "is not what table bench --json wrote"},
		"no folder":     {[]string{"--plot", filepath.Join(garbage, "x.svg")}, "--plot: "},
		"an argument":   {[]string{"fast"}, "fast"},
	} {
		_, err := verb(t.Context(), nil, append([]string{"table", "bench"}, c.args...)...)
		if wantExit(t, err, exitUsage, c.want); t.Failed() {
			t.Fatal(name)
		}
	}
	_, err := verb(t.Context(), strings.NewReader("{"), "table", benchPart)
	wantExit(t, err, exitFailure, "reading which part")
}

func TestTableBenchFailsWhereThereIsNoRoom(t *testing.T) {
	_, err := verb(t.Context(), nil, "table", "bench", "--subjects", "1000", "--dir", filepath.Join(t.TempDir(), "none"))
	wantExit(t, err, exitFailure, "measuring a table of 1,000 subjects: making a folder for the snapshot")
}

// What earlier runs wrote is shown in each form.
func TestTableBenchShowsEarlierRuns(t *testing.T) {
	one := &table.Result{Subjects: 10_000_000, Chain: 95, Chase: 90, BytesLoaded: 13.8}
	two := &table.Result{Subjects: 1_000_000, Chain: 50, Chase: 45, BytesLoaded: 14.5}
	a, b := write(t, "a.json", string(must(json.Marshal(one)))), write(t, "b.json", string(must(json.Marshal([]*table.Result{two}))))
	show := func(args ...string) string {
		out, err := verb(t.Context(), nil, append([]string{"table", "bench", "--from", a + "," + b}, args...)...)
		wantExit(t, err, 0)
		return out
	}
	if out := show(); !strings.Contains(out, "10,000,000 subjects") || !strings.Contains(out, "\n1,000,000 subjects") {
		t.Error(out)
	}
	if out := show("--markdown"); !strings.Contains(out, "\n| 1 M | 14.5, – | 50, 45 |") || !strings.Contains(out, "\n| 10 M | 13.8, – | 95, 90 |") {
		t.Error(out)
	}
	var back []*table.Result
	if err := json.Unmarshal([]byte(show("--json")), &back); err != nil || len(back) != 2 || back[0].Chain != 95 {
		t.Errorf("%v, %+v", err, back)
	}
	svg := filepath.Join(t.TempDir(), "table.svg")
	show("--plot", svg)
	for d := xml.NewDecoder(strings.NewReader(string(must(os.ReadFile(svg))))); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	out, err := verb(t.Context(), nil, "table", "bench", "--from", a, "--json")
	wantExit(t, err, 0)
	if !strings.HasPrefix(out, "{") {
		t.Errorf("one result is no object: %s", out)
	}
}
