package limit

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
)

// Range is the rules of the addresses in a prefix.
type Range struct {
	Prefix netip.Prefix
	Rules  *Rules // nil: none
}

// Ranges say which rules an address has: those of the longest prefix that it is in. They never change. An IPv4 address in its IPv6 form
// is the IPv4 address.
type Ranges struct{ ipv4, ipv6 pieces }

// pieces are one family's addresses, cut where other rules begin: in order, the first at 0.
type pieces struct {
	starts []place
	rules  []*Rules
}

// place is an address as a number.
type place struct{ hi, lo uint64 }

// NewRanges makes ranges; others have the rest's rules.
func NewRanges(rest *Rules, ranges ...Range) (*Ranges, error) {
	all := []Range{{netip.MustParsePrefix("0.0.0.0/0"), rest}, {netip.MustParsePrefix("::/0"), rest}}
	seen := map[netip.Prefix]bool{}
	for _, r := range ranges {
		p := r.Prefix.Masked()
		if !p.IsValid() || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%v is no range of IPv4 or IPv6 addresses", r.Prefix)
		}
		if seen[p] {
			return nil, fmt.Errorf("the range %v is there twice", p)
		}
		seen[p] = true
		all = append(all, Range{p, r.Rules})
	}
	// The widest first where several begin, so that the stack holds what an address is in, the narrowest on top. The whole of a family
	// comes before a /0 that was given, which so covers it.
	slices.SortStableFunc(all, func(a, b Range) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	r, within := new(Ranges), []Range(nil)
	leave := func(before netip.Addr) { // the ranges that ended before that address
		for len(within) > 0 {
			end := last(within[len(within)-1].Prefix)
			if before.IsValid() && end.Compare(before) >= 0 {
				return
			}
			within = within[:len(within)-1]
			if next := end.Next(); next.IsValid() && len(within) > 0 {
				r.begin(next, within[len(within)-1].Rules)
			}
		}
	}
	for _, one := range all {
		leave(one.Prefix.Addr())
		within = append(within, one)
		r.begin(one.Prefix.Addr(), one.Rules)
	}
	leave(netip.Addr{})
	return r, nil
}

// begin says that from an address on, no less than any before, other rules hold.
func (r *Ranges) begin(at netip.Addr, rules *Rules) {
	p := &r.ipv6
	if at.Is4() {
		p = &r.ipv4
	}
	start := placeOf(at)
	if n := len(p.starts); n > 0 && p.starts[n-1] == start {
		p.rules[n-1] = rules
		return
	}
	p.starts, p.rules = append(p.starts, start), append(p.rules, rules)
}

// last is the last address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func placeOf(a netip.Addr) place {
	if a.Is4() {
		b := a.As4()
		return place{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return place{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// Rules returns an address's rules. It allocates nothing.
func (r *Ranges) Rules(a netip.Addr) *Rules {
	if a = a.Unmap(); a.Is4() {
		return r.ipv4.at(placeOf(a))
	}
	return r.ipv6.at(placeOf(a))
}

// at finds the last piece that begins at a place or before it.
func (p *pieces) at(a place) *Rules {
	from, to := 0, len(p.starts) // it is there, and not from to on
	for to-from > 1 {
		mid := int(uint(from+to) / 2)
		if s := p.starts[mid]; s.hi < a.hi || s.hi == a.hi && s.lo <= a.lo {
			from = mid
		} else {
			to = mid
		}
	}
	return p.rules[from]
}

// All returns all rules that an address can have.
func (r *Ranges) All() []*Rules { return slices.Concat(r.ipv4.rules, r.ipv6.rules) }

// Kind is what a key names.
type Kind uint8

// The kinds of keys.
const (
	ipv4 Kind = iota
	ipv6
	Holder
	Certificate
	kinds
)

// Address is the key of who comes from an address.
func Address(a netip.Addr) Key {
	if a = a.Unmap(); a.Is4() {
		return Key{ipv4, placeOf(a).lo}
	}
	return Key{ipv6, placeOf(a).hi}
}

// Name is the key of who goes by a name that has one part or more, each without a byte 0xff.
func (t *Table) Name(kind Kind, parts ...[]byte) Key {
	var h maphash.Hash
	h.SetSeed(t.seeds[kind])
	for _, p := range parts {
		_, _ = h.Write(p)
		_ = h.WriteByte(0xff)
	}
	return Key{kind, h.Sum64()}
}
