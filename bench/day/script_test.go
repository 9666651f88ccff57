package day

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/load"
)

var (
	testEdges      = []load.Edge{{Name: "edge-1", TLS: "https://1"}, {Name: "edge-2", TLS: "https://2"}, {Name: "edge-3", TLS: "https://3"}}
	testPopulation = Population{Issuers: []string{"demo-a", "demo-b"}, Subjects: 201}
)

// The oracle against a table made by counting, and every subject has one place.
func TestPopulationBruteForce(t *testing.T) {
	for _, subjects := range []uint64{1, 2, 3, 7, 200, 1001} {
		for _, issuers := range [][]string{{"a"}, {"a", "b"}, {"a", "b", "c"}} {
			p := Population{issuers, subjects}
			seen := map[[2]uint64]bool{}
			for i := range subjects {
				k, number := p.At(i)
				if seen[[2]uint64{uint64(k), number}] = true; number < 1 || number > p.Size(k) {
					t.Errorf("%v: subject %d is number %d of %d", p, i, number, p.Size(k))
				}
			}
			sum := uint64(0)
			for k := range issuers {
				sum += p.Size(k)
				if k > 0 && (p.Size(k) > p.Size(k-1) || p.Size(k)+1 < p.Size(0)) {
					t.Errorf("%v: sizes are not even, the first ones taking the rest", p)
				}
			}
			if sum != subjects || uint64(len(seen)) != subjects {
				t.Errorf("%v: sizes make %d, places %d", p, sum, len(seen))
			}
		}
	}
}

func TestStatusOfEveryNumber(t *testing.T) {
	odd := map[uint64]scanedge.Status{7: "yellow", 13: "red", 21: "void", 29: "lapsed"}
	for number := uint64(1); number <= 1000; number++ {
		want := scanedge.Green
		for rest, status := range odd {
			if number >= rest && (number-rest)%100 == 0 {
				want = status
			}
		}
		if got := StatusOf(number); got != want {
			t.Errorf("number %d is %s, want %s", number, got, want)
		}
	}
	if got := Name(1) + Name(123456789); got != "d000000001d123456789" {
		t.Errorf("names %s", got)
	}
}

// wire is visit i as it is sent, and where.
func wire(s *Script, i uint64) string {
	v, _ := made(s, i)
	return fmt.Sprintf("%+v %s %q %s", v.Route, v.Path, v.Body, v.Key)
}

// The same (seed, i) makes the same visit, from any goroutine and from another scenario; another seed or i does not.
func TestVisitsFollowFromSeedAndNumber(t *testing.T) {
	const visits = 2000
	one, again := NewScript(5, testEdges, testPopulation), NewScript(5, testEdges, testPopulation)
	other := NewScript(6, testEdges, testPopulation)
	first := make([]string, visits)
	for i := range first {
		first[i] = wire(one, uint64(i))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := visits - 1; i >= 0; i-- {
				if got := wire(again, uint64(i)); got != first[i] {
					t.Errorf("visit %d is %q, then %q", i, first[i], got)
				}
			}
		})
	}
	wg.Wait()
	same := 0
	for i := range first {
		if wire(other, uint64(i)) == first[i] {
			same++
		}
	}
	if same > visits/10 { // a short list of malformed codes and 201 subjects meet now and then
		t.Errorf("%d of %d visits are the same under another seed", same, visits)
	}
	distinct := map[string]bool{}
	for _, v := range first {
		distinct[v] = true
	}
	if len(distinct) < visits/3 {
		t.Errorf("%d of %d visits are distinct", len(distinct), visits)
	}
}

// shares counts what visits are, from their wire form alone.
func TestProportions(t *testing.T) {
	const visits = 100_000
	s := NewScript(1, testEdges, Population{[]string{"demo-a", "demo-b"}, 1_000_000})
	got := map[string]float64{}
	for i := range uint64(visits) {
		v, _ := made(s, i)
		got[testEdges[v.Edge].Name]++
		code := strings.Replace(strings.TrimPrefix(string(v.Path), "/v1/scan/"), "%3A", ":", 1)
		switch issuer, subject, _ := strings.Cut(code, ":"); {
		case len(v.Body) > 0:
			got["upload"]++
		case strings.HasPrefix(subject, "day-1-u"):
			got["unknown"]++
		case strings.HasPrefix(issuer, "demo-") && len(subject) == 10 && subject > "d000000000" && subject <= "d000500000":
			got["known"]++
			got["known "+issuer]++
			got["known second half"] += float64(strings.Compare(subject, "d000250000")+1) / 2
		default:
			got["malformed"]++
		}
	}
	for what, share := range map[string]float64{
		"known": 0.85, "unknown": 0.05, "malformed": 0.05, "upload": 0.05,
		"edge-1": 1. / 3, "edge-2": 1. / 3, "edge-3": 1. / 3,
		"known demo-a": 0.425, "known demo-b": 0.425, "known second half": 0.425,
	} {
		deviation := math.Sqrt(visits * share * (1 - share))
		if off := math.Abs(got[what]-visits*share) / deviation; off > 5 {
			t.Errorf("%s: %.0f of %d, which is %.1f deviations from %.3f", what, got[what], visits, off, share)
		}
	}
}

// Every known subject comes up, with the expectation that the population's rule gives it.
func TestEverySubjectIsAskedForWithItsStatus(t *testing.T) {
	s := NewScript(3, testEdges, testPopulation)
	asked := map[string]want{}
	for i := range uint64(5000) {
		sent, v := made(s, i)
		for k, w := range v.wants {
			asked[strings.Replace(sentCode(sent, k), "%3A", ":", 1)] = w
		}
	}
	for k, issuer := range testPopulation.Issuers {
		for number := range testPopulation.Size(k) {
			code := issuer + ":" + Name(number+1)
			if got, want := asked[code], (want{issuer: issuer, status: StatusOf(number + 1)}); got != want {
				t.Errorf("%s: want is %+v, want %+v", code, got, want)
			}
			delete(asked, code)
		}
	}
	for code, w := range asked {
		if w.problem == "" {
			t.Errorf("%q is expected to be %v, but no subject has that code", code, w)
		}
	}
}

// Each malformed code breaks a rule of the API as the fake fleet's own reading of it says, which the right codes pass.
func TestMalformedCodesAreMalformed(t *testing.T) {
	f := &fakeFleet{}
	for k, issuer := range testPopulation.Issuers {
		s := NewScript(1, testEdges, testPopulation)
		for _, path := range s.badPaths[k] {
			if code, ok := decode(path); ok && f.judge(code).Error != scanedge.MalformedCode {
				t.Errorf("%q is a code: %q", path, code)
			}
			if strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
				t.Errorf("%q can't stand in a request line", path)
			}
		}
		for _, line := range s.badLines[k] {
			if f.judge(line).Error != scanedge.MalformedCode || strings.ContainsAny(line, "\r\n") {
				t.Errorf("%q is a code, or more than a line", line)
			}
		}
		for _, code := range []string{issuer + ":d1", issuer + ":a:b/../%", issuer + ":" + strings.Repeat("d", 64)} {
			if got, ok := decode(escape(code)); !ok || got != code || f.judge(code).Error != scanedge.UnknownSubject {
				t.Errorf("%q is no code, or escapes to %q", code, got)
			}
		}
	}
}

func TestUploadsHaveALineACode(t *testing.T) {
	s := NewScript(1, testEdges, testPopulation)
	ends := map[string]bool{}
	for i := range uint64(2000) {
		sent, v := made(s, i)
		if !v.upload {
			continue
		}
		ends[v.eol] = true
		lines := strings.SplitAfter(string(sent.Body), v.eol)
		if len(lines) != 21 || len(v.wants) != 20 || lines[20] != "" || string(sent.Path) != "/v1/scan" {
			t.Fatalf("visit %d uploads %q to %s, wants %v", i, lines, sent.Path, v.wants)
		}
		for k := range v.wants {
			if got := sentCode(sent, k); got+v.eol != lines[k] {
				t.Fatalf("line %d of visit %d is %q, not %q", k, i, lines[k], got)
			}
		}
	}
	if len(ends) != 2 {
		t.Errorf("line ends %v", ends)
	}
}

// Visits carry all keys by turns, the same visit the same key; a holder's carries none.
func TestVisitsCarryKeysByTurns(t *testing.T) {
	c := Config{Seed: 7, ScannerKeys: []string{"a", "b", "c"}}
	carried := map[string]int{}
	carry := c.keyed(func(i uint64, v *load.Visit) {
		if v.Key = ""; i%10 == 0 {
			v.Key = noKey
		}
	})
	for i := range uint64(3000) {
		var v, again load.Visit
		carry(i, &v)
		if carry(i, &again); v.Key != again.Key {
			t.Fatalf("visit %d carries %q, then %q", i, v.Key, again.Key)
		}
		carried[v.Key]++
	}
	for _, key := range c.ScannerKeys {
		if n := carried[key]; n < 800 || n > 1000 {
			t.Errorf("%v, and %d are without one", carried, carried[noKey])
		}
	}
	if carried[noKey] != 300 {
		t.Errorf("%d of 300 holders carry no key", carried[noKey])
	}
}
