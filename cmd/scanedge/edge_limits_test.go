package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/edge"
	"github.com/scanedge/scanedge/edge/limit"
	"github.com/scanedge/scanedge/sync/access"
)

func limitsOfFile(t *testing.T, content string) (*edgeLimits, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "limits.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return readLimits(path)
}

// same reports whether rules are those of limits.
func same(r *limit.Rules, l limit.Limits) bool {
	want := limit.New(l)
	return r == nil && want == nil || r != nil && want != nil && *r == *want
}

func TestLimitsFile(t *testing.T) {
	e, err := limitsOfFile(t, `
keys: {rate: 50, guard: {forgiven: 2, lock_for: 10s}}
addresses: {rate: 7.5, burst: 20, guard: off}
ranges:
  - {range: 10.0.0.0/8, rate: 5000}
  - {range: 10.1.0.0/16, rate: 0}
  - {range: "2001:db8::/32", guard: on}
  - {range: 192.0.2.7, guard: {slow_after: 3, lock_after: 9}}
holders: {rate: 0}
max_callers: 5000
`)
	if err != nil {
		t.Fatal(err)
	}
	keys := builtIn.keys.Guard
	keys.Forgiven, keys.LockFor = 2, 10*time.Second
	if !same(e.unsaid, limit.Limits{Rate: 50, Burst: 500, Guard: keys}) || e.keyGuard != keys || e.holders != nil {
		t.Errorf("%+v", e)
	}
	other := builtIn.addresses.Guard
	other.SlowAfter, other.LockAfter = 3, 9
	for a, want := range map[string]limit.Limits{
		"1.2.3.4": {Rate: 7.5, Burst: 20}, "127.0.0.1": {Rate: 7.5, Burst: 20}, "10.2.0.1": {Rate: 5000, Burst: 50_000}, "10.1.2.3": {},
		"2001:db8::1": {Rate: 7.5, Burst: 20, Guard: builtIn.addresses.Guard}, "192.0.2.7": {Rate: 7.5, Burst: 20, Guard: other},
		"192.0.2.8": {Rate: 7.5, Burst: 20},
	} {
		if !same(e.addresses.Rules(netip.MustParseAddr(a)), want) {
			t.Errorf("%s: %+v, not %+v", a, e.addresses.Rules(netip.MustParseAddr(a)), want)
		}
	}
	for l, want := range map[access.Limits]limit.Limits{
		{Rate: 5, Burst: 6, Guard: true}: {Rate: 5, Burst: 6, Guard: keys}, {Rate: 5, Burst: 6}: {Rate: 5, Burst: 6}, {}: {}, {Guard: true}: {Guard: keys},
		{Rate: 1e12, Burst: 6, Guard: true}: {Guard: keys},
	} {
		if !same(e.ofKey(l, true), want) {
			t.Errorf("a key of %+v: %+v", l, e.ofKey(l, true))
		}
	}
	if e.ofKey(access.Limits{}, false) != e.unsaid {
		t.Error("a key of which nothing was said")
	}
}

// Without a file, and where a file says nothing.
func TestLimitsOfNoFile(t *testing.T) {
	built, err := readLimits("")
	if err != nil {
		t.Fatal(err)
	}
	empty, err := limitsOfFile(t, "# nothing\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*edgeLimits{built, empty} {
		if e.unsaid != nil || !same(e.addresses.Rules(netip.MustParseAddr("1.2.3.4")), builtIn.addresses) || !same(e.holders, builtIn.holders) ||
			!same(e.ofKey(access.NewLimits(nil, nil, nil), true), limit.Limits{Rate: 1000, Burst: 10_000, Guard: builtIn.keys.Guard}) {
			t.Errorf("%+v", e)
		}
	}
	for a, free := range map[string]bool{"127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true, "::2": false, "128.0.0.1": false} {
		if got := built.addresses.Rules(netip.MustParseAddr(a)) == nil; got != free {
			t.Errorf("%s is free: %v", a, got)
		}
		if empty.addresses.Rules(netip.MustParseAddr(a)) == nil {
			t.Errorf("%s is free by a file that does not say so", a)
		}
	}
}

func TestLimitsFilesThatCantBe(t *testing.T) {
	for content, want := range map[string]string{
		"keys: {rte: 5}":                                     "line 1: field rte not found",
		"adresses: {rate: 5}":                                "field adresses not found",
		"keys: {rate: fast}":                                 "line 1: cannot unmarshal",
		"keys: {rate: 5, burst: 0}":                          "keys: burst 0: it must be 1 scan or more",
		"keys: {burst: 5}":                                   "keys: burst: without a rate there is none",
		"addresses: {rate: -1}":                              "addresses: rate -1: it must be 0.01",
		"addresses: {rate: .nan}":                            "addresses: rate NaN",
		"addresses: {rate: .inf}":                            "addresses: rate +Inf",
		"addresses: {guard: maybe}":                          "line 1: cannot unmarshal",
		"addresses: {guard: {lock_after: 1}}":                "addresses: guard: lock_after 1: it must be more than slow_after, 100",
		"addresses: {guard: {lock_for: soon}}":               `line 1: "soon" is no period`,
		"addresses: {guard: {lockfor: 5s}}":                  "line 1: a guard has no lockfor",
		"ranges: [{range: 10.0.0.0/33}]":                     `ranges: "10.0.0.0/33" is no address`,
		"ranges: [{rate: 5}]":                                `ranges: "" is no address`,
		"ranges: [{range: 10.1.0.0/8}, {range: 10.0.0.0/8}]": "ranges: the range 10.0.0.0/8 is there twice",
		"ranges: [{range: 10.0.0.0/8, rate: 1e9}]":           "range 10.0.0.0/8: rate 1e+09",
		"holders: {guard: on}":                               "holders: they have no guard",
		"max_callers: 3":                                     "max_callers 3: it must be 1000 to 16777216",
		"[1, 2]":                                             "cannot unmarshal",
		"keys: {rate: 5":                                     "did not find expected",
	} {
		if _, err := limitsOfFile(t, content); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "limits.yaml: ") {
			t.Errorf("%s: %v, not %s", content, err, want)
		}
	}
}

func TestLimitFlagsThatCantBe(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	key := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(key, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]limitFlags{
		"--limits: read limits: open ":                               {file: none},
		`--trusted-proxies: "10.0.0.0/99" is no address`:             {proxies: []string{"10.0.0.1", "10.0.0.0/99"}},
		`--proxy-header is "Via"; it must be X-Forwarded-For or`:     {header: "Via"},
		"--scanner-ca: open ":                                        {scannerCA: none},
		"--scanner-ca: there is no certificate in " + key + "; it m": {scannerCA: key},
	} {
		if f.header == "" {
			f.header = forwardedFor
		}
		if err := f.read(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, not %s", err, want)
		}
	}
	f := limitFlags{proxies: []string{"::ffff:10.0.0.1", "10.9.9.9/8"}, header: "forwarded"}
	if err := f.read(); err != nil || !f.made.proxies.RFC7239 || f.made.proxies.Trusted[0].String() != "10.0.0.1/32" || f.made.proxies.Trusted[1].String() != "10.0.0.0/8" {
		t.Errorf("%v, %+v", err, f.made.proxies)
	}
	for _, made := range []scanLimits{f.made, {}} {
		b := made.exempt(edge.Bounds{Exempt: netip.Addr.IsLoopback})
		for a, want := range map[string]bool{"127.0.0.1": true, "10.0.0.1": made.proxies != nil, "::ffff:10.0.0.1": made.proxies != nil, "192.0.2.1": false} {
			if got := b.Exempt(netip.MustParseAddr(a)); got != want {
				t.Errorf("connections of %s have no bound of their address: %v", a, got)
			}
		}
	}
}

// The file that the documents show is one, and says what holds without it.
func TestLimitsFileOfTheDocuments(t *testing.T) {
	b, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(b), "cat > limits.yaml <<'END'\n")
	shown, _, _ = strings.Cut(shown, "    END\n")
	e, err := limitsOfFile(t, strings.ReplaceAll(shown, "\n    ", "\n")[len("    "):])
	if err != nil {
		t.Fatal(err)
	}
	own := builtIn.addresses
	own.Rate, own.Burst = 5000, 50_000
	if e.keyGuard != builtIn.keys.Guard || !same(e.unsaid, limit.Limits{Rate: 1000, Burst: 10_000, Guard: builtIn.keys.Guard}) || !same(e.holders, builtIn.holders) ||
		!same(e.addresses.Rules(netip.MustParseAddr("1.2.3.4")), builtIn.addresses) || e.addresses.Rules(netip.MustParseAddr("127.0.0.1")) != nil ||
		!same(e.addresses.Rules(netip.MustParseAddr("203.0.113.7")), own) {
		t.Errorf("%+v", e)
	}
}
