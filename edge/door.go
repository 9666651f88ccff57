package edge

import (
	"container/list"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// spareFor is how long a connection on which scans were answered must have been idle before it is closed for the sake of a new one.
const spareFor = 10 * time.Second

// Door bounds the connections of an edge's listeners together. When it is full it makes room rather than turn the new one away: a
// connection on which no scan was ever answered goes first, the oldest of them; then one on which none was for [spareFor], the one that
// waits longest. So those who connect and say nothing, or who dribble, push each other out, and a scanner that asks from time to time
// keeps its connection. A newcomer has at least the time in which strangers fill a quarter of the door to ask its first question.
//
// One address (a /64 of IPv6) can be bounded too: beyond it, it pushes out its own. Many scanners behind one address share its bound.
//
// Its listeners may be used at the same time.
type Door struct {
	bounds   Bounds
	turned   func(reason string)
	newcomer func() // waits while there is no time for a newcomer

	born  time.Time
	clock atomic.Int64 // nanoseconds since then, at the last sweep or newcomer

	mu    sync.Mutex
	hosts map[netip.Addr]*host
	fresh list.List   // of *conn: no scan was answered on them when they were last looked at; the oldest first
	kept  list.List   // of *conn: some was; the one that was looked at longest ago first
	swept *time.Timer // until the next sweep; nil while none is open
}

// Bounds are what a [Door] admits at once. None is 0.
type Bounds struct {
	Connections int
	PerAddress  int
	Exempt      func(netip.Addr) bool // has no bound of its own: a proxy, or this machine; may be nil
}

type host struct {
	addr  netip.Addr
	all   int
	fresh list.List
}

// conn is a connection that came in by a Door.
type conn struct {
	net.Conn
	door     *Door
	probe    *waitProbe
	deadline deadline

	// Of the goroutine that reads and writes.
	asked   uint32    // requests that came, from anywhere on, so that all do not come round together
	away    time.Time // until which a refusal told it to stay away
	handled uint32    // requests
	awaited uint32    // handled when a request was awaited last
	waiting bool      // for a request's first byte

	answered atomic.Bool // a scan was, since the door looked last
	leaving  atomic.Bool // its last answer said that it is the last

	// Guarded by door.mu.
	host     *host
	place    *list.Element // in door.fresh or door.kept; nil once closed
	ofHost   *list.Element // in host.fresh, or nil
	lastSeen time.Time     // when the door last saw that a scan had been answered
}

// Door returns a door for the server's listeners, and shows in the metrics how many connections are open and why others were closed.
// Once.
func (s *Server) Door(b Bounds) *Door {
	d := s.door(b)
	s.set.NewGauge("scanedge_connections", func() float64 { return float64(d.Open()) })
	return d
}

func (s *Server) door(b Bounds) *Door {
	return &Door{
		bounds: b, turned: func(reason string) { s.shedBy[reason].Inc() }, newcomer: s.overload.newcomer,
		born: time.Now(), hosts: map[netip.Addr]*host{},
	}
}

// Listen returns l behind the door. Of connections that are not of TCP nobody knows how long their requests waited.
func (d *Door) Listen(l net.Listener) net.Listener { return &doorListener{l, d} }

// Open returns how many connections are open.
func (d *Door) Open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fresh.Len() + d.kept.Len()
}

type doorListener struct {
	net.Listener
	door *Door
}

// Accept returns the next connection that finds a place. Where the system has no file or memory for one, it closes one of ours and goes
// on: a server whose listener fails is gone for good.
func (l *doorListener) Accept() (net.Conn, error) {
	for {
		l.door.newcomer()
		c, err := l.Listener.Accept()
		switch {
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.ENOBUFS):
			l.door.shrink(time.Now())
			time.Sleep(10 * time.Millisecond)
		case errors.Is(err, syscall.ECONNABORTED):
		case err != nil:
			return nil, err
		default:
			if c := l.door.admit(c, time.Now()); c != nil {
				return c, nil
			}
		}
	}
}

// shrink closes a connection, if one can be spared.
func (d *Door) shrink(now time.Time) {
	d.mu.Lock()
	victim := d.victim(now)
	d.mu.Unlock()
	d.turn(victim, "connections")
}

// admit returns the connection with its place, or nil after it was closed for want of one.
func (d *Door) admit(nc net.Conn, now time.Time) *conn {
	c := &conn{Conn: nc, door: d, probe: newWaitProbe(nc), deadline: deadline{clock: &d.clock}, asked: rand.Uint32(), lastSeen: now}
	d.clock.Store(int64(now.Sub(d.born)))
	_ = c.deadline.set(readWithin)
	addr := peerOf(nc.RemoteAddr())

	d.mu.Lock()
	victim, reason := d.makeRoom(addr, now)
	if victim == nil && reason != "" {
		victim = c
	} else {
		d.enter(c, addr)
	}
	d.mu.Unlock()

	d.turn(victim, reason)
	if victim == c {
		return nil
	}
	return c
}

// makeRoom finds who must go for a newcomer of that address. There is a reason if somebody must, and nobody if it is the newcomer.
func (d *Door) makeRoom(addr netip.Addr, now time.Time) (victim *conn, reason string) {
	h := d.hosts[addr]
	if h != nil && h.all >= d.bounds.PerAddress && (d.bounds.Exempt == nil || !d.bounds.Exempt(addr)) {
		return d.unanswered(&h.fresh, now), "address"
	}
	if d.fresh.Len()+d.kept.Len() >= d.bounds.Connections {
		return d.victim(now), "connections"
	}
	return nil, ""
}

// victim is the connection that the door can best do without, or nil. Three quarters of the door may be held by those on which scans
// were answered, or newcomers would have no time to ask.
func (d *Door) victim(now time.Time) *conn {
	if d.fresh.Len() < d.bounds.Connections/4 {
		if c := d.idle(now); c != nil {
			return c
		}
	}
	if c := d.unanswered(&d.fresh, now); c != nil {
		return c
	}
	return d.idle(now)
}

// looks bounds how many connections are looked at for one that goes. The others are looked at for the next newcomer.
const looks = 64

// unanswered takes the oldest connection of the list on which no scan was answered, and keeps those on which one was.
func (d *Door) unanswered(fresh *list.List, now time.Time) *conn {
	for range looks {
		e := fresh.Front()
		if e == nil {
			return nil
		}
		c := e.Value.(*conn)
		if !c.answered.Swap(false) {
			d.leave(c)
			return c
		}
		d.keep(c, now)
	}
	return nil
}

// idle takes the connection whose last answer is longest ago, if that is long enough.
func (d *Door) idle(now time.Time) *conn {
	for range looks {
		e := d.kept.Front()
		if e == nil {
			return nil
		}
		c := e.Value.(*conn)
		if c.answered.Swap(false) {
			c.lastSeen = now
			d.kept.MoveToBack(e)
			continue
		}
		if now.Sub(c.lastSeen) < spareFor {
			return nil // those behind it were seen later
		}
		d.leave(c)
		return c
	}
	return nil
}

// enter, keep and leave move a connection between the lists.
func (d *Door) enter(c *conn, addr netip.Addr) {
	h := d.hosts[addr]
	if h == nil {
		h = &host{addr: addr}
		d.hosts[addr] = h
	}
	h.all++
	c.host, c.place, c.ofHost = h, d.fresh.PushBack(c), h.fresh.PushBack(c)
	if d.swept == nil {
		d.swept = time.AfterFunc(sweepEvery, d.sweep)
	}
}

func (d *Door) keep(c *conn, now time.Time) {
	d.fresh.Remove(c.place)
	c.host.fresh.Remove(c.ofHost)
	c.place, c.ofHost, c.lastSeen = d.kept.PushBack(c), nil, now
}

func (d *Door) leave(c *conn) {
	if c.place == nil {
		return
	}
	if c.ofHost != nil {
		d.fresh.Remove(c.place)
		c.host.fresh.Remove(c.ofHost)
	} else {
		d.kept.Remove(c.place)
	}
	if c.host.all--; c.host.all == 0 {
		delete(d.hosts, c.host.addr)
	}
	c.place, c.ofHost = nil, nil
}

// turn closes the connection at once, so that the kernel holds nothing for it either.
func (d *Door) turn(c *conn, reason string) {
	if c == nil {
		return
	}
	d.turned(reason)
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Conn.Close()
}

// sweep ends what is late.
func (d *Door) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := int64(time.Since(d.born))
	d.clock.Store(now)
	for _, all := range []*list.List{&d.fresh, &d.kept} {
		for e := all.Front(); e != nil; e = e.Next() {
			if c := e.Value.(*conn); c.deadline.ends(now) {
				_ = c.Conn.SetDeadline(time.Unix(1, 0)) // wakes who reads or writes
			}
		}
	}
	if d.fresh.Len()+d.kept.Len() == 0 {
		d.swept = nil
	} else {
		d.swept.Reset(sweepEvery)
	}
}

// goodbyeWithin is how long a client may take to leave once it was told to.
const goodbyeWithin = time.Second

// Close closes the connection and gives its place back. Who was told that an answer was the last, and has sent more requests before it
// came, as one who pipelines does, must see that answer and those before it: the kernel would drop what it has not yet taken if
// requests were left unread. So the client leaves first.
func (c *conn) Close() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && c.leaving.Load() {
		_ = tcp.CloseWrite()
		_ = tcp.SetReadDeadline(time.Now().Add(goodbyeWithin))
		_, _ = io.Copy(io.Discard, tcp)
	}
	c.door.mu.Lock()
	c.door.leave(c)
	c.door.mu.Unlock()
	return c.Conn.Close()
}

// peerOf is the address that a connection is counted under.
func peerOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap()
	if addr.Is4() {
		return addr
	}
	p, _ := addr.WithZone("").Prefix(64)
	return p.Addr()
}

// doorOf returns the connection as it came in by a door, also from under TLS, or nil.
func doorOf(c net.Conn) *conn {
	switch c := c.(type) {
	case *conn:
		return c
	case interface{ NetConn() net.Conn }:
		mine, _ := c.NetConn().(*conn)
		return mine
	}
	return nil
}
