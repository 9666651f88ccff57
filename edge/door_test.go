package edge

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// lobby is a door whose newcomers are real connections, at a time and from an address of the test's choice.
type lobby struct {
	*Door
	t   *testing.T
	l   *net.TCPListener
	now time.Time
}

func newLobby(t *testing.T, b Bounds) *lobby {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &lobby{New(metrics.NewSet()).Door(b), t, l, time.Now()}
}

// guest is a connection's two ends. The near one is nil if it was turned away.
type guest struct {
	near *conn
	far  net.Conn
}

// enter connects from the address 127.0.0.N.
func (l *lobby) enter(n byte) guest {
	l.t.Helper()
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, n)}}
	far, err := from.Dial("tcp", l.l.Addr().String())
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { far.Close() })
	tcp, err := l.l.AcceptTCP()
	if err != nil {
		l.t.Fatal(err)
	}
	c := l.admit(tcp, l.now)
	if c != nil {
		l.t.Cleanup(func() { c.Close() })
	}
	return guest{c, far}
}

func (g guest) open() bool {
	if g.near == nil {
		return false
	}
	g.near.door.mu.Lock()
	defer g.near.door.mu.Unlock()
	return g.near.place != nil
}

// Those on which no scan was answered go first, the oldest of them; then those that wait long; and nobody who asks goes for a newcomer.
func TestDoorMakesRoom(t *testing.T) {
	l := newLobby(t, Bounds{Connections: 4, PerAddress: 4})
	good, mute, late := l.enter(1), l.enter(1), l.enter(1)
	good.near.answered.Store(true)
	other := l.enter(1)
	other.near.answered.Store(true)

	l.enter(2)
	if mute.open() || !good.open() || !late.open() || !other.open() {
		t.Fatal("the oldest that asked nothing was to go")
	}
	if _, err := mute.far.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("it is told by %v, want a reset, that nothing be kept for it", err)
	}
	_ = late.near.Close()
	third := l.enter(2)
	third.near.answered.Store(true)
	fourth := l.enter(3) // for the one of 2
	fourth.near.answered.Store(true)
	if !third.open() || !fourth.open() {
		t.Fatal("a place was free")
	}
	if g := l.enter(4); g.open() {
		t.Fatal("all were asking, and one was closed for a newcomer")
	}
	l.now = l.now.Add(spareFor)
	other.near.answered.Store(true)
	newcomer := l.enter(4)
	if good.open() || !other.open() || !newcomer.open() {
		t.Fatal("the one that waits longest was to go")
	}
	if l.Open() != 4 {
		t.Errorf("%d are open", l.Open())
	}
}

// An address beyond its bound pushes out its own, and nobody else; an exempt one has none.
func TestDoorBoundsAddresses(t *testing.T) {
	l := newLobby(t, Bounds{Connections: 100, PerAddress: 3, Exempt: func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.9") }})
	stranger := l.enter(1)
	var mine []guest
	for range 5 {
		mine = append(mine, l.enter(2))
	}
	if mine[0].open() || mine[1].open() || !mine[2].open() || !mine[4].open() || !stranger.open() {
		t.Error("the two oldest of that address were to go")
	}
	for _, g := range mine[2:] {
		g.near.answered.Store(true)
	}
	if l.enter(2).open() {
		t.Error("all of that address ask: the newcomer was to be turned away")
	}
	for range 5 {
		if !l.enter(9).open() {
			t.Error("an exempt address was bounded")
		}
	}
}

// However many strangers come, those who ask keep their connections, and a newcomer has time to ask.
func TestDoorInAFlood(t *testing.T) {
	const places = 40
	l := newLobby(t, Bounds{Connections: places, PerAddress: places})
	var good []guest
	for range places - 2 {
		g := l.enter(1)
		g.near.answered.Store(true)
		good = append(good, g)
	}
	for range 20 * places {
		l.now = l.now.Add(time.Duration(rand.IntN(20)) * time.Millisecond)
		if !l.enter(2).open() {
			break // turned away: so be it
		}
		good[rand.IntN(len(good))].near.answered.Store(true)
		for _, g := range good {
			if !g.open() && l.now.Sub(g.near.lastSeen) < spareFor {
				t.Fatal("one that was answered lately was closed")
			}
		}
	}
	if n := l.Open(); n > places {
		t.Errorf("%d of %d", n, places)
	}
}

// A door holds nothing for what is closed, whoever closed it.
func TestDoorForgets(t *testing.T) {
	l := newLobby(t, Bounds{Connections: 8, PerAddress: 4})
	for i := range 100 {
		g := l.enter(byte(1 + i%5))
		if g.near != nil && i%3 == 0 {
			g.near.answered.Store(true)
		}
		if g.near != nil && i%2 == 0 {
			_ = g.near.Close()
			_ = g.near.Close()
		}
		all := 0
		for _, h := range l.hosts {
			all += h.all
		}
		if all != l.Open() || all > 8 {
			t.Fatalf("%d by address, %d open", all, l.Open())
		}
	}
	for range 3 { // the first look sees who was answered since
		l.now = l.now.Add(time.Hour)
		for range 8 {
			l.shrink(l.now)
		}
	}
	if l.Open() != 0 || len(l.hosts) != 0 {
		t.Errorf("%d connections and %d addresses are left", l.Open(), len(l.hosts))
	}
}

func TestPeerOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		a := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(in), 1))
		if got := peerOf(a); got != netip.MustParseAddr(want) {
			t.Errorf("%s is counted under %s, want %s", in, got, want)
		}
	}
	if (peerOf(&net.UnixAddr{}) != netip.Addr{}) {
		t.Error("a path is an address")
	}
}

// failing is a listener whose first accepts fail.
type failing struct {
	net.Listener
	errs []error
}

func (l *failing) Accept() (net.Conn, error) {
	if len(l.errs) == 0 {
		return l.Listener.Accept()
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
}

// A listener for which the system has no file or memory closes a connection and goes on; one that is closed ends.
func TestDoorOutlivesFailedAccepts(t *testing.T) {
	l := newLobby(t, Bounds{Connections: 9, PerAddress: 9})
	mute := l.enter(1)
	in := l.Listen(&failing{l.l, []error{syscall.EMFILE, syscall.ECONNABORTED, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS}})
	far, err := net.Dial("tcp", l.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := in.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	if mute.open() || l.Open() != 1 {
		t.Errorf("%d are open, the one that asked nothing: %v", l.Open(), mute.open())
	}
	l.l.Close()
	if _, err := in.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed one ends with %v", err)
	}
}
