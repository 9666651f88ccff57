package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/scanedge/scanedge/edge/limit"
	"github.com/scanedge/scanedge/sync/access"
)

// limitsFile is what the file of edge --limits says. Where it says nothing, what stands in builtIn holds, but for ranges: a file's are all
// that there are.
type limitsFile struct {
	Keys       callerLimits `yaml:"keys"`
	Addresses  callerLimits `yaml:"addresses"`
	Ranges     []rangeLimit `yaml:"ranges"`
	Holders    callerLimits `yaml:"holders"`
	MaxCallers int          `yaml:"max_callers"`
}

// rangeLimit is what addresses of a range may do; what it does not say is as for all addresses.
type rangeLimit struct {
	Range        string `yaml:"range"`
	callerLimits `yaml:",inline"`
}

// callerLimits are limits of which what is nil was not said.
type callerLimits struct {
	Rate  *float64    `yaml:"rate"`
	Burst *int        `yaml:"burst"`
	Guard *guardLimit `yaml:"guard"`
}

// guardLimit is a guard: off, on, or with numbers of its own.
type guardLimit struct {
	on bool
	guardNumbers
}

type guardNumbers struct {
	Forgiven  *float64 `yaml:"forgiven"`
	SlowAfter *int     `yaml:"slow_after"`
	SlowTo    *float64 `yaml:"slow_to"`
	LockAfter *int     `yaml:"lock_after"`
	LockFor   *period  `yaml:"lock_for"`
}

// UnmarshalYAML reads on, off or the numbers. A member that there is none of is an error here as everywhere.
func (g *guardLimit) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&g.on)
	}
	g.on = true
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch key := n.Content[i]; key.Value {
		case "forgiven", "slow_after", "slow_to", "lock_after", "lock_for":
		default:
			return fmt.Errorf("line %d: a guard has no %s; it is on, off, or has forgiven, slow_after, slow_to, lock_after, lock_for", key.Line, key.Value)
		}
	}
	return n.Decode(&g.guardNumbers)
}

// UnmarshalYAML reads a period such as 90s.
func (p *period) UnmarshalYAML(n *yaml.Node) error {
	if err := p.Set(n.Value); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	return nil
}

// builtIn are the limits of an edge that was given none. Keys have those that the origin says, and these numbers if it says that they are
// guarded: five bad codes a second are what a busy gate may meet. A holder looks at his code now and then; the addresses of which there
// may be a hall or a mobile network behind each may do what an edge does not notice. Loopback is for those who are on the machine.
var builtIn = struct {
	keys, addresses, holders limit.Limits
	maxCallers               int
	free                     []string
}{
	keys: limit.Limits{Guard: limit.Guard{Forgiven: 5, SlowAfter: 500, SlowTo: 20, LockAfter: 1000, LockFor: time.Minute}},
	addresses: limit.Limits{
		Rate: 500, Burst: 5000, Guard: limit.Guard{Forgiven: 1, SlowAfter: 100, SlowTo: 1, LockAfter: 500, LockFor: time.Minute},
	},
	holders:    limit.Limits{Rate: 1, Burst: 30},
	maxCallers: 1 << 18,
	free:       []string{"127.0.0.0/8", "::1/128"},
}

// edgeLimits are an edge's limits, made ready.
type edgeLimits struct {
	unsaid    *limit.Rules // of keys that the origin says nothing of, and of certificates
	keyGuard  limit.Guard  // of keys that the origin says are guarded
	addresses *limit.Ranges
	holders   *limit.Rules
	table     *limit.Table
}

// ofKey are the rules of a scanner key.
func (e *edgeLimits) ofKey(l access.Limits, own bool) *limit.Rules {
	if !own {
		return e.unsaid
	}
	made := limit.Limits{Rate: l.Rate, Burst: l.Burst}
	if l.Guard {
		made.Guard = e.keyGuard
	}
	if made.Check() != nil { // of an origin with other bounds: as many as come is better than none
		made = limit.Limits{Guard: made.Guard}
	}
	return limit.New(made)
}

// readLimits reads a limits file; of "" it is what an edge does without one.
func readLimits(path string) (*edgeLimits, error) {
	var f limitsFile
	if path == "" {
		for _, r := range builtIn.free {
			f.Ranges = append(f.Ranges, rangeLimit{r, callerLimits{new(0.0), nil, new(guardLimit)}})
		}
		return f.ready()
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read limits: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err = d.Decode(&f); errors.Is(err, io.EOF) {
		err = nil // an empty file says nothing
	}
	var made *edgeLimits
	if err == nil {
		made, err = f.ready()
	}
	if err != nil {
		return nil, fmt.Errorf("read limits from %s: %w", path, err)
	}
	return made, nil
}

// ready makes the limits that the file means, or says what is wrong with them.
func (f *limitsFile) ready() (*edgeLimits, error) {
	keys, err := f.Keys.over("keys", limit.Limits{}, builtIn.keys.Guard)
	if err != nil {
		return nil, err
	}
	all, err := f.Addresses.over("addresses", builtIn.addresses, builtIn.addresses.Guard)
	if err != nil {
		return nil, err
	}
	if f.Holders.Guard != nil {
		return nil, errors.New("holders: they have no guard; their codes prove themselves")
	}
	holders, err := f.Holders.over("holders", builtIn.holders, limit.Guard{})
	if err != nil {
		return nil, err
	}
	e := &edgeLimits{unsaid: limit.New(keys), keyGuard: keys.Guard, holders: limit.New(holders)}
	if keys.Guard == (limit.Guard{}) {
		e.keyGuard = builtIn.keys.Guard
	}
	if e.addresses, err = f.ranges(all); err != nil {
		return nil, err
	}
	callers := cmp.Or(f.MaxCallers, builtIn.maxCallers)
	if callers < 1000 || callers > 1<<24 {
		return nil, fmt.Errorf("max_callers %d: it must be 1000 to %d, of 24 bytes each", callers, 1<<24)
	}
	e.table = limit.NewTable(callers, append(e.addresses.All(), e.unsaid, e.holders)...)
	return e, nil
}

// ranges are the limits of addresses: all, but for those of the ranges.
func (f *limitsFile) ranges(all limit.Limits) (*limit.Ranges, error) {
	var ranges []limit.Range
	for _, r := range f.Ranges {
		p, err := parseRange(r.Range)
		if err != nil {
			return nil, fmt.Errorf("ranges: %w", err)
		}
		l, err := r.over("range "+r.Range, all, cmp.Or(all.Guard, builtIn.addresses.Guard))
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, limit.Range{Prefix: p, Rules: limit.New(l)})
	}
	made, err := limit.NewRanges(limit.New(all), ranges...)
	if err != nil {
		return nil, fmt.Errorf("ranges: %w", err)
	}
	return made, nil
}

// over is what was said over what holds where nothing was. A rate alone comes with ten seconds of it as its burst; a guard that is on, with
// numbers.
func (c callerLimits) over(what string, l limit.Limits, numbers limit.Guard) (limit.Limits, error) {
	if c.Rate != nil {
		l.Rate, l.Burst = *c.Rate, 0
		if r := math.Ceil(10 * l.Rate); r > 0 && r < 1<<31 {
			l.Burst = int(r)
		}
	}
	if c.Burst != nil {
		l.Burst = *c.Burst
	}
	if g := c.Guard; g != nil && !g.on {
		l.Guard = limit.Guard{}
	} else if g != nil {
		l.Guard = g.over(numbers)
	}
	if err := l.Check(); err != nil {
		return l, fmt.Errorf("%s: %w", what, err)
	}
	return l, nil
}

func (g *guardNumbers) over(l limit.Guard) limit.Guard {
	said(&l.Forgiven, g.Forgiven)
	said(&l.SlowAfter, g.SlowAfter)
	said(&l.SlowTo, g.SlowTo)
	said(&l.LockAfter, g.LockAfter)
	if g.LockFor != nil {
		l.LockFor = time.Duration(*g.LockFor)
	}
	return l
}

func said[T any](to, what *T) {
	if what != nil {
		*to = *what
	}
}

// parseRange reads a range of addresses, or one address.
func parseRange(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return p, fmt.Errorf("%q is no address and no range of addresses, such as 10.0.0.0/8 or 2001:db8::/32", s)
	}
	return p.Masked(), nil
}
