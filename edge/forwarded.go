package edge

import (
	"bytes"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/valyala/fasthttp"
)

// Proxies are those whose word on whom they speak for is taken. They must not change once in use; nil are none.
type Proxies struct {
	Trusted []netip.Prefix // their addresses
	RFC7239 bool           // they say it in Forwarded (RFC 7239); false: in X-Forwarded-For

	// Only one of the two is read, since a proxy that writes one passes on the other as its client made it up.
}

// maxHops bounds the proxies that one request is followed through.
const maxHops = 16

// client is who a request is of that came from an address. That of a proxy is followed back, through as many proxies as are trusted, to
// the address that the first of them saw: what stands left of it anybody may have written. Who can't be told is the last proxy
// that could be. It allocates nothing.
func (p *Proxies) client(h *fasthttp.RequestHeader, from netip.Addr) netip.Addr {
	if !p.Trust(from) {
		return from
	}
	name := "X-Forwarded-For"
	if p.RFC7239 {
		name = "Forwarded"
	}
	lines, hops := h.PeekAll(name), 0
	for i := len(lines) - 1; i >= 0; i-- {
		for hop, rest, more := []byte(nil), lines[i], true; more; hops++ {
			hop, rest, more = lastHop(rest, p.RFC7239)
			if p.RFC7239 {
				hop = forParameter(hop)
			}
			a, ok := hopAddress(hop)
			if !ok || hops == maxHops {
				return from
			}
			if from = a; !p.Trust(a) {
				return from
			}
		}
	}
	return from
}

// Trust reports whether a proxy of theirs has an address.
func (p *Proxies) Trust(a netip.Addr) bool {
	if p == nil {
		return false
	}
	a = a.Unmap()
	return slices.ContainsFunc(p.Trusted, func(r netip.Prefix) bool { return r.Contains(a) })
}

// lastHop cuts the last element from a list. A comma within quotes parts nothing.
func lastHop(list []byte, quotes bool) (hop, rest []byte, more bool) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		if quotes && list[i] == '"' {
			quoted = !quoted
		}
		if list[i] == ',' && !quoted {
			return bytes.TrimSpace(list[i+1:]), list[:i], true
		}
	}
	return bytes.TrimSpace(list), nil, false
}

// forParameter is the value of for= in an element of Forwarded, without its quotes.
func forParameter(element []byte) []byte {
	for len(element) > 0 {
		var pair []byte
		pair, element, _ = bytes.Cut(element, []byte{';'})
		name, value, ok := bytes.Cut(bytes.TrimSpace(pair), []byte{'='})
		if !ok || !bytes.EqualFold(name, []byte("for")) {
			continue
		}
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			value = value[1 : n-1]
		}
		return value
	}
	return nil
}

// hopAddress reads an address with or without a port: 1.2.3.4, 1.2.3.4:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80.
func hopAddress(b []byte) (a netip.Addr, ok bool) {
	switch {
	case len(b) == 0 || len(b) > len("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535") || bytes.IndexByte(b, '%') >= 0:
		return a, false
	case b[0] == '[':
		end := bytes.IndexByte(b, ']')
		if end < 0 || !isPort(b[end+1:]) {
			return a, false
		}
		b = b[1:end]
		if bytes.IndexByte(b, ':') < 0 {
			return a, false
		}
	default:
		if colon := bytes.IndexByte(b, ':'); colon >= 0 && bytes.IndexByte(b[colon+1:], ':') < 0 {
			if !isPort(b[colon:]) {
				return a, false
			}
			b = b[:colon]
		}
	}
	a, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(b), len(b))) // it keeps nothing of the text but in an error
	return a.Unmap(), err == nil
}

// isPort reports whether b is nothing or a colon and a port.
func isPort(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if b[0] != ':' || len(b) < 2 || len(b) > 6 {
		return false
	}
	for _, c := range b[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
