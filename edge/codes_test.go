package edge

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge/passcode"
)

// mint is what the issuers of these tests make codes with.
var mint = struct {
	key, old passcode.Key // of demo-a
	sign     ed25519.PrivateKey
}{
	passcode.NewKey("demo-a", 2, bytes.Repeat([]byte{2}, 32)), passcode.NewKey("demo-a", 1, bytes.Repeat([]byte{1}, 32)),
	ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32)),
}

func keyring(window uint32) *passcode.Keyring {
	return &passcode.Keyring{Keys: []passcode.Key{mint.key, mint.old}, Signing: mint.sign.Public().(ed25519.PublicKey), Window: window}
}

// rolling is a code of demo-a by a key of that id, of which there are 1 and 2.
func rolling(key *passcode.Key, subject string, step uint32) string {
	return key.Secret([]byte(subject)).Mint("demo-a", key.ID(), []byte(subject), step)
}

func signed(subject string, from, until int64) string {
	return passcode.Sign(mint.sign, "demo-a", []byte(subject), uint32(from), uint32(until))
}

// noon is the beginning of a step.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// checking is a server that holds demo-a with "g" and "r" at offset 17, checks codes with that window, and whose clock stands at *at.
func checking(t testing.TB, window uint32, at *time.Time) *Server {
	t.Helper()
	s := admitting("demo-a", "demo-b")
	s.now = func(time.Time) time.Time { return *at }
	s.Remember(2)
	t.Cleanup(s.signatures.Reset)
	v := Vouch{Seed: cache.NewSeed(), Table: new(cache.Table), Offset: 17, Beat: noon, MaxStale: 100 * time.Hour, Codes: keyring(window)}
	for subject, status := range map[string]cache.Status{"g": cache.Green, "r": cache.Red} {
		r, _ := cache.NewRecord(status, 0, time.Time{})
		v.Table.Put(v.Seed.Key([]byte(subject)), r)
	}
	s.Publish("demo-a", v)
	return s
}

// judge takes a code through all that a scan does but HTTP.
func (s *Server) judge(text []byte, by asker) (v verdict) {
	if key, ask := s.open(&v, text, &by); ask {
		v.found(v.vouch.Table.Lookup(key))
	}
	var at moment
	at.begin(s.now(by.at))
	s.settle(&v, &by, &at)
	return v
}

// judgeText is the word of a code.
func (s *Server) judgeText(text string, by asker) string {
	v := s.judge([]byte(text), by)
	return v.outcome.String()
}

var scanner = asker{scanner: true}

// Each step from three before the window to three after it, at each second of the present step that could matter.
func TestWindow(t *testing.T) {
	for window := range uint32(4) {
		at := noon
		s := checking(t, window, &at)
		for _, into := range []time.Duration{0, time.Nanosecond, time.Second, 29 * time.Second, 30*time.Second - time.Nanosecond} {
			at = noon.Add(into)
			for off := -int64(window) - 3; off <= int64(window)+3; off++ {
				step := uint32(noon.Unix()/30 + off)
				want := "green"
				switch {
				case off < -int64(window):
					want = "code-expired"
				case off > int64(window):
					want = "clock-ahead"
				}
				v := s.judge([]byte(rolling(&mint.key, "g", step)), scanner)
				if v.outcome.String() != want {
					t.Errorf("window %d, %d steps off, %v into the step: %v, want %s", window, off, into, v.outcome, want)
				}
				if want != "clock-ahead" {
					continue
				}
				var p scanedge.Problem
				ahead := off*30 - int64(into/time.Second)
				if err := json.Unmarshal(v.appendProblem(nil), &p); err != nil || p.AheadS != ahead || p.Status != 410 {
					t.Errorf("%d steps off, %v into the step: %+v, %v; want %d s ahead", off, into, p, err, ahead)
				}
				if line := string(v.appendLine(nil, false, &moment{now: v.now})); line != fmt.Sprintf(`{"error":"clock-ahead","ahead_s":%d}`+"\n", ahead) {
					t.Errorf("in a batch: %s", line)
				}
			}
		}
	}
}

// A captured rolling code is taken for 90 s with the usual window, and not a second longer.
func TestACapturedCodeLivesNinetySeconds(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	code, taken := rolling(&mint.key, "g", uint32(noon.Unix()/30)), 0
	for second := range 300 {
		at = noon.Add(time.Duration(second-150) * time.Second)
		if s.judgeText(code, scanner) == "green" {
			taken++
		}
	}
	if taken != 90 {
		t.Errorf("it is taken for %d s", taken)
	}
}

func TestSignedCodesHaveTheirTime(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	from, until := noon.Unix(), noon.Unix()+3600
	code := signed("r", from, until)
	for unix, want := range map[int64]string{from - 1: "not-yet-valid", from: "red", until - 1: "red", until: "code-expired", until + 86400: "code-expired"} {
		for range 2 { // the second time by the memo
			at = time.Unix(unix, 999_999_999)
			if got := s.judgeText(code, scanner); got != want {
				t.Errorf("%d s after its from: %s, want %s", unix-from, got, want)
			}
		}
	}
}

// What is wrong with a code is said in this order: its form, its issuer, its maker, its time, its subject.
func TestCodeProblems(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	conn := dial(t, s)
	now := uint32(noon.Unix() / 30)
	stranger := passcode.NewKey("demo-a", 2, bytes.Repeat([]byte{9}, 32))
	revoked := passcode.NewKey("demo-a", 3, bytes.Repeat([]byte{2}, 32))
	elsewhere := passcode.NewKey("demo-c", 2, bytes.Repeat([]byte{2}, 32))
	waiting := passcode.NewKey("demo-b", 2, bytes.Repeat([]byte{2}, 32))
	of := func(k passcode.Key, issuer string) string {
		return k.Secret([]byte("g")).Mint(issuer, k.ID(), []byte("g"), now)
	}
	good, paper := rolling(&mint.key, "g", now), signed("g", noon.Unix(), noon.Unix()+60)
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{4}, 32))
	for name, c := range map[string]struct {
		code   string
		status int
		word   string
	}{
		"good":                         {good, 200, "green"},
		"of the key before":            {rolling(&mint.old, "g", now), 200, "green"},
		"of an unknown subject":        {rolling(&mint.key, "nobody", now), 404, "unknown-subject"},
		"expired":                      {rolling(&mint.key, "g", now-2), 410, "code-expired"},
		"ahead":                        {rolling(&mint.key, "g", now+2), 410, "clock-ahead"},
		"expired, unknown":             {rolling(&mint.key, "nobody", now-2), 410, "code-expired"},
		"forged":                       {rolling(&stranger, "g", now), 422, "forged-code"},
		"forged, expired":              {rolling(&stranger, "g", now-9), 422, "forged-code"},
		"forged, unknown":              {rolling(&stranger, "nobody", now), 422, "forged-code"},
		"of a revoked key":             {rolling(&revoked, "g", now), 422, "forged-code"},
		"of an issuer not held":        {of(elsewhere, "demo-c"), 404, "issuer-not-held"},
		"of one not caught up":         {of(waiting, "demo-b"), 503, "not-ready"},
		"lower case":                   {strings.ToLower(good), 400, "malformed-code"},
		"prefix in lower case":         {"se1" + good[3:], 400, "malformed-code"},
		"payload in lower case":        {good[:11] + strings.ToLower(good[11:]), 400, "malformed-code"},
		"a digit more":                 {good + "A", 400, "malformed-code"},
		"a digit less":                 {good[:len(good)-1], 400, "malformed-code"},
		"a digit other":                {good[:len(good)-4] + "AAAA", 422, "forged-code"},
		"an issuer other":              {"SE1.DEMO-B" + good[10:], 503, "not-ready"},
		"a colon":                      {good + ":", 400, "malformed-code"},
		"prefix alone":                 {"SE1.", 400, "malformed-code"},
		"4 KB less the line":           {good + strings.Repeat("A", 3500), 400, "malformed-code"},
		"NUL":                          {good[:20] + "%00" + good[21:], 400, "malformed-code"},
		"invalid UTF-8":                {good[:20] + "%ff" + good[21:], 400, "malformed-code"},
		"encoded":                      {strings.ReplaceAll(good, ".", "%2E"), 200, "green"},
		"encoded twice":                {strings.ReplaceAll(good, ".", "%252E"), 400, "malformed-code"},
		"signed":                       {paper, 200, "green"},
		"signed, of nobody":            {signed("nobody", noon.Unix(), noon.Unix()+60), 404, "unknown-subject"},
		"signed, over":                 {signed("g", noon.Unix()-60, noon.Unix()), 410, "code-expired"},
		"signed, early":                {signed("g", noon.Unix()+1, noon.Unix()+60), 410, "not-yet-valid"},
		"signed by another":            {passcode.Sign(other, "demo-a", []byte("g"), uint32(noon.Unix()), uint32(noon.Unix()+60)), 422, "forged-code"},
		"signed, a digit other":        {paper[:40] + "AAAAAA" + paper[46:], 422, "forged-code"},
		"signed, in lower case":        {strings.ToLower(paper), 400, "malformed-code"},
		"signed, named a rolling":      {"SE1" + paper[3:], 400, "malformed-code"},
		"rolling, named a signed":      {"SS1" + good[3:], 400, "malformed-code"},
		"plain, with a colon too many": {"demo-a:g:", 404, "unknown-subject"},
	} {
		res, body := ask(t, conn, "GET /v1/scan/"+c.code, "", auth)
		if res.StatusCode != c.status || !strings.Contains(body, `"`+c.word+`"`) {
			t.Errorf("%s: %s %s; want %d %s", name, res.Status, body, c.status, c.word)
		}
		if strings.Contains(c.code, "%") {
			continue
		}
		if _, line := ask(t, conn, "POST /v1/scan", c.code, auth); !strings.Contains(line, `"`+c.word+`"`) {
			t.Errorf("%s, in a batch: %s", name, line)
		}
	}
}

// A holder needs no key to ask what his own phone's code says, and learns nothing by any other.
func TestHolders(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	conn := dial(t, s)
	now := uint32(noon.Unix() / 30)
	stranger := passcode.NewKey("demo-a", 2, bytes.Repeat([]byte{9}, 32))
	for code, want := range map[string]string{
		rolling(&mint.key, "r", now):                "200 red",
		rolling(&mint.key, "nobody", now):           "404 unknown-subject",
		rolling(&mint.key, "g", now-2):              "410 code-expired",
		rolling(&mint.key, "g", now+2):              "410 clock-ahead",
		rolling(&stranger, "g", now):                "422 forged-code",
		rolling(&stranger, "nobody", now):           "422 forged-code",
		signed("g", noon.Unix(), noon.Unix()+60):    "401 no-key",
		"demo-a:g":                                  "401 no-key",
		"demo-a:nobody":                             "401 no-key",
		"demo-c:g":                                  "401 no-key",
		"nocolon":                                   "401 no-key",
		rolling(&mint.key, "g", now)[:30]:           "401 no-key",
		strings.ToLower(rolling(&mint.key, "g", 1)): "401 no-key",
	} {
		res, body := ask(t, conn, "GET /v1/scan/"+code, "")
		word := want[4:]
		if fmt.Sprint(res.StatusCode) != want[:3] || !strings.Contains(body, `"`+word+`"`) || (res.StatusCode == 401) != (res.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %s %s; want %s", code, res.Status, body, want)
		}
		for _, wrong := range []string{"Authorization: Bearer wrong", "Authorization:", "Authorization: Basic x"} { // a scanner whose key is good no more is to learn that
			if res, _ := ask(t, conn, "GET /v1/scan/"+code, "", wrong); res.StatusCode != 401 {
				t.Errorf("%s: with %q %s", code, wrong, res.Status)
			}
		}
	}
	if res, _ := ask(t, conn, "POST /v1/scan", rolling(&mint.key, "g", now)); res.StatusCode != 401 {
		t.Errorf("a batch without a key: %s", res.Status)
	}
}

// Until the edge knows how an issuer's codes are checked, none is good, and plain ones go on.
func TestNoKeyring(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	v := *s.holdings()["demo-a"].vouch.Load()
	for name, codes := range map[string]*passcode.Keyring{"none": nil, "empty": {}} {
		v.Codes = codes
		s.Publish("demo-a", v)
		for code, want := range map[string]string{
			rolling(&mint.key, "g", uint32(noon.Unix()/30)): "forged-code", signed("g", 0, noon.Unix()+60): "forged-code", "demo-a:g": "green",
		} {
			if got := s.judgeText(code, scanner); got != want {
				t.Errorf("%s: %s: %s, want %s", name, code, got, want)
			}
		}
	}
}

// Where plain codes are forbidden the others are not.
func TestPlainForbiddenLeavesTheOthers(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	v := *s.holdings()["demo-a"].vouch.Load()
	v.PlainOff = true
	s.Publish("demo-a", v)
	for code, want := range map[string]string{
		rolling(&mint.key, "g", uint32(noon.Unix()/30)): "green", signed("g", 0, noon.Unix()+60): "green", "demo-a:g": "plain-forbidden",
	} {
		if got := s.judgeText(code, scanner); got != want {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
}

// The replay marks of random scans, by a clock that goes on, beside a map of what was seen first.
func TestSeenAgainstAModel(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	rng := rand.New(rand.NewPCG(5, 6))
	first := map[string]time.Time{}
	marked, fresh := 0, 0
	for range 20_000 {
		at = at.Add(time.Duration(rng.IntN(400)) * time.Millisecond)
		step := uint32(at.Unix()/30 + rng.Int64N(5) - 2)
		code := rolling(&mint.key, []string{"g", "r", "nobody"}[rng.IntN(3)], step)
		by := asker{scanner: rng.IntN(4) > 0}
		v := s.judge([]byte(code), by)
		_, known := first[code]
		if want := known && by.scanner && !v.outcome.refused(); v.seen != want || v.seen && v.seenMS != at.Sub(first[code]).Milliseconds() {
			t.Fatalf("%s at %v by %+v: %v, seen %v %d ms ago; first %v", code, at, by, v.outcome, v.seen, v.seenMS, first[code])
		}
		if has := strings.Contains(string(v.appendLine(nil, false, &moment{now: v.now})), fmt.Sprintf(`,"seen_ms_ago":%d}`, v.seenMS)); has != v.seen {
			t.Fatalf("%s", v.appendLine(nil, false, &moment{now: v.now}))
		}
		if v.seen {
			marked++
		}
		if !known && by.scanner && !v.outcome.refused() {
			first[code] = at
			fresh++
		}
	}
	if marked < 1000 || fresh < 100 {
		t.Errorf("%d marks were met, %d put: the run shows too little", marked, fresh)
	}
	if e := s.seen.Stats().Entries; e != uint64(fresh) {
		t.Errorf("%d entries for %d codes seen", e, fresh)
	}
}

// Plain and signed codes stay the same, so they are never marked.
func TestOnlyRollingCodesAreMarked(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	for _, code := range []string{"demo-a:g", signed("g", 0, noon.Unix()+60)} {
		for range 3 {
			if v := s.judge([]byte(code), scanner); v.seen || v.outcome != green {
				t.Errorf("%s: %+v", code, v)
			}
		}
	}
	if s.seen.Stats().Entries != 0 {
		t.Error("marked all the same")
	}
}

// A signature is checked once; and forged ones, however many, get into no memo and so push nothing out of it.
func TestOnlyGoodSignaturesAreRemembered(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	good := signed("g", 0, noon.Unix()+60)
	for n := range 3 {
		if got := s.judgeText(good, scanner); got != "green" {
			t.Fatal(got)
		}
		if m := s.signatures.Stats(); m.Entries != 1 || m.Hits != uint64(n) {
			t.Errorf("after %d scans: %+v", n+1, m)
		}
	}
	stranger := passcode.NewKey("demo-a", 2, bytes.Repeat([]byte{9}, 32))
	for n := range 500 {
		forged := []byte(good)
		if forged[20+n%60]++; s.judgeText(string(forged), scanner) == "green" {
			t.Errorf("%s is green", forged)
		}
		s.judgeText(rolling(&stranger, fmt.Sprint("s", n), uint32(noon.Unix()/30)), scanner)
	}
	if a, b := s.signatures.Stats(), s.seen.Stats(); a.Entries != 1 || b.Entries != 0 {
		t.Errorf("forged codes left %d and %d entries", a.Entries-1, b.Entries)
	}
	// An issuer that signs by another key now: what was verified by the one before is forged.
	v := *s.holdings()["demo-a"].vouch.Load()
	v.Codes = &passcode.Keyring{Signing: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{4}, 32)).Public().(ed25519.PublicKey)}
	s.Publish("demo-a", v)
	if got := s.judgeText(good, scanner); got != "forged-code" {
		t.Errorf("verified by another key: %s", got)
	}
}

func TestMemoMetrics(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	now := uint32(noon.Unix() / 30)
	for _, code := range []string{signed("g", 0, noon.Unix()+60), rolling(&mint.key, "g", now)} {
		s.judgeText(code, scanner)
		s.judgeText(code, scanner)
	}
	for _, off := range []int32{-300, -11, -10, -2, -1, 0, 0, 1, 2, 10, 11, 99999} {
		s.judgeText(rolling(&mint.key, "nobody", now+uint32(off)), asker{})
	}
	var text bytes.Buffer
	s.set.WritePrometheus(&text)
	for _, line := range []string{
		`scanedge_memo_hits_total{memo="seen"} 1`, `scanedge_memo_hits_total{memo="signatures"} 1`, `scanedge_memo_misses_total{memo="seen"} 1`,
		`scanedge_memo_entries{memo="seen"} 1`, `scanedge_memo_damaged_total{memo="signatures"} 0`, `scanedge_memo_evicted_total{memo="seen"} 0`,
		`scanedge_memo_max_bytes{memo="seen"} 65536`, `scanedge_memo_max_bytes{memo="signatures"} 33554432`,
		`scanedge_code_skew_total{steps="<-10"} 2`, `scanedge_code_skew_total{steps="-10..-2"} 2`, `scanedge_code_skew_total{steps="-1"} 1`,
		`scanedge_code_skew_total{steps="0"} 4`, `scanedge_code_skew_total{steps="1"} 1`, `scanedge_code_skew_total{steps="2..10"} 2`,
		`scanedge_code_skew_total{steps=">10"} 2`,
	} {
		if !strings.Contains(text.String(), line+"\n") {
			t.Errorf("not %s", line)
		}
	}
}

// Without a memo nothing is remembered, and nothing else is different.
func TestWithoutAMemo(t *testing.T) {
	at := noon
	s := checking(t, 1, &at)
	s.signatures.Reset()
	s.Remember(0)
	for range 2 {
		for _, code := range []string{rolling(&mint.key, "g", uint32(noon.Unix()/30)), signed("g", 0, noon.Unix()+60)} {
			if v := s.judge([]byte(code), scanner); v.outcome != green || v.seen {
				t.Errorf("%s: %+v", code, v)
			}
		}
	}
}
