package edge

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

func header(name string, lines ...string) *fasthttp.RequestHeader {
	h := new(fasthttp.RequestHeader)
	for _, l := range lines {
		h.Add(name, l)
	}
	return h
}

var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:10::/48")}

// The client is the last address, from the right, that no trusted proxy has; what stands left of it is not believed.
func TestForwarded(t *testing.T) {
	const peer = "10.0.0.1"
	for _, c := range []struct {
		want  string
		lines []string
	}{
		{peer, nil},
		{peer, []string{""}},
		{"192.0.2.1", []string{"192.0.2.1"}},
		{"192.0.2.1", []string{"6.6.6.6, 192.0.2.1"}},
		{"192.0.2.1", []string{"6.6.6.6,192.0.2.1 , 10.9.9.9"}},
		{"192.0.2.1", []string{"6.6.6.6", "192.0.2.1", "10.9.9.9"}},
		{"192.0.2.1", []string{"unknown, 192.0.2.1"}},
		{"192.0.2.1", []string{"192.0.2.1:8080"}},
		{"192.0.2.1", []string{"::ffff:192.0.2.1"}},
		{"2001:db8::7", []string{"2001:db8::7"}},
		{"2001:db8::7", []string{"[2001:db8::7]:443, [2001:db8:10::1]"}},
		{"10.2.2.2", []string{"10.2.2.2, 10.3.3.3"}}, // all are trusted: the first of them
		{"10.3.3.3", []string{"nonsense, 10.3.3.3"}}, // the last that could be told
		{peer, []string{"192.0.2.1, "}},
		{peer, []string{"192.0.2.1, unknown"}},
		{peer, []string{"192.0.2.256"}},
		{peer, []string{"fe80::1%eth0"}},
		{peer, []string{"192.0.2.1:"}},
		{peer, []string{"192.0.2.1:http"}},
		{peer, []string{"[2001:db8::7"}},
		{peer, []string{"[192.0.2.1]"}},
		{peer, []string{strings.Repeat("1", 1000)}},
		{"10.1.1.1", []string{"192.0.2.1" + strings.Repeat(", 10.1.1.1", 100)}},
	} {
		p := Proxies{Trusted: proxies}
		if got := p.client(header("X-Forwarded-For", c.lines...), netip.MustParseAddr(peer)); got != netip.MustParseAddr(c.want) {
			t.Errorf("%q: %v, not %s", c.lines, got, c.want)
		}
		if got := p.client(header("X-Forwarded-For", c.lines...), netip.MustParseAddr("9.9.9.9")); got != netip.MustParseAddr("9.9.9.9") {
			t.Errorf("from one who is no proxy: %v", got)
		}
		if got := p.client(header("Forwarded", "for=6.6.6.6"), netip.MustParseAddr(peer)); got != netip.MustParseAddr(peer) {
			t.Errorf("by the other header: %v", got)
		}
	}
	if got := (&Proxies{Trusted: proxies}).client(header("X-Forwarded-For", "192.0.2.1"), netip.MustParseAddr("::ffff:10.0.0.1")); got != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("a proxy on a socket of both families: %v", got)
	}
}

// The same by RFC 7239, whose examples are among these.
func TestForwardedAsRFC7239(t *testing.T) {
	const peer = "10.0.0.1"
	p := Proxies{Trusted: proxies, RFC7239: true}
	for _, c := range []struct {
		want  string
		lines []string
	}{
		{"192.0.2.60", []string{"for=192.0.2.60;proto=http;by=203.0.113.43"}},
		{"2001:db8:cafe::17", []string{`For="[2001:db8:cafe::17]:4711"`}},
		{"198.51.100.17", []string{"for=192.0.2.43, for=198.51.100.17"}},
		{"198.51.100.17", []string{"for=192.0.2.43", "by=10.0.0.1;for=198.51.100.17", "for=10.4.4.4"}},
		{"198.51.100.17", []string{`for=6.6.6.6;host="a, for=7.7.7.7", for=198.51.100.17;host="b,c"`}},
		{"198.51.100.17", []string{`for="6.6.6.6, for=198.51.100.17`}}, // a quote that the client left open
		{"198.51.100.17", []string{` proto=https ; FOR = x; for=198.51.100.17`}},
		{peer, []string{`for="_gazonk"`}},
		{peer, []string{"for=unknown"}},
		{peer, []string{"by=203.0.113.43"}},
		{peer, []string{"198.51.100.17"}},
		{peer, []string{"for=198.51.100.17, "}},
		{peer, []string{`for="198.51.100.17`}},
		{peer, []string{"for="}},
		{peer, []string{`for="`}},
	} {
		if got := p.client(header("Forwarded", c.lines...), netip.MustParseAddr(peer)); got != netip.MustParseAddr(c.want) {
			t.Errorf("%q: %v, not %s", c.lines, got, c.want)
		}
	}
	if got := p.client(header("X-Forwarded-For", "6.6.6.6"), netip.MustParseAddr(peer)); got != netip.MustParseAddr(peer) {
		t.Errorf("by the other header: %v", got)
	}
}

func TestForwardedAllocatesNothing(t *testing.T) {
	from := netip.MustParseAddr("10.0.0.1")
	for _, p := range []Proxies{{Trusted: proxies}, {Trusted: proxies, RFC7239: true}} {
		h := header("X-Forwarded-For", "6.6.6.6", "192.0.2.1, 2001:db8:10::ffff:ffff:ffff, 10.1.2.3")
		h.Add("Forwarded", `for=192.0.2.1, for="[2001:db8:10::1]:99";by=10.1.1.1`)
		if n := testing.AllocsPerRun(100, func() {
			if p.client(h, from) != netip.AddrFrom4([4]byte{192, 0, 2, 1}) {
				t.Fatal("not told")
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// Whatever a client writes, what the trusted proxy adds at the end is who it is.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"", "1.2.3.4", `for="`, `\"`, "for=1.2.3.4;", ",,,", `"a,b`, "[::1", "10.1.1.1"} {
		f.Add(s)
	}
	from, want := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("198.51.100.17")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "\r\n\x00") {
			return // no header holds it
		}
		one, two := Proxies{Trusted: proxies}, Proxies{Trusted: proxies, RFC7239: true}
		for _, lines := range [][]string{{s + ", 198.51.100.17"}, {s, "198.51.100.17"}, {s + ",198.51.100.17, 10.1.1.1"}} {
			if got := one.client(header("X-Forwarded-For", lines...), from); got != want {
				t.Errorf("X-Forwarded-For %q: %v", lines, got)
			}
		}
		for _, lines := range [][]string{{s + ", for=198.51.100.17"}, {s, `for="198.51.100.17:1"`}, {s + ",for=198.51.100.17, for=10.1.1.1"}} {
			if got := two.client(header("Forwarded", lines...), from); got != want {
				t.Errorf("Forwarded %q: %v", lines, got)
			}
		}
		one.client(header("X-Forwarded-For", s), from)
		two.client(header("Forwarded", s), from)
	})
}
