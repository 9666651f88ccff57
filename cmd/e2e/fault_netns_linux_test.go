package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/enrol"
)

// An edge on a machine of its own joins, and is scanned there over TLS. Its network then swallows every packet in both directions,
// with nobody to say so: connections look healthy from both ends. The edge notices, and mends itself when packets arrive again.
func TestFaultOtherMachine(t *testing.T) {
	m := newMachine(t)
	o := startOriginOn(t, m.host)
	edge := m.edge(o, enrol.All)
	k, _ := startTicker(t, o, "gz", 20*time.Millisecond)
	w, _ := startWatcher(t, k, edge, 4)
	for range 2 {
		m.swallow(true)
		w.awaitStale(t)
		m.swallow(false)
		w.awaitVouching(t)
	}
	w.mustHaveAnswered(t, "packets swallowed")
}

// Edges on machines of their own: each reads its issuers and no other; one that is revoked is cut off, while the other goes on, and
// is not let in again, also when it is started anew. The name is then free for another key.
func TestFaultRevokedEdge(t *testing.T) {
	near, far := newMachine(t), newMachine(t)
	o := startOriginOn(t, "0.0.0.0", "--issuers", "gz,sz", "--advertise", near.host, "--advertise", far.host)
	o.mustPush(t, "gz", "", rows("s", 0, 1, 1))
	stays, goes := near.edge(o, "gz", "sz"), far.edge(o, "gz")
	status := func(e *node, issuer string) string {
		v, err := e.scannerTLS(o).Scan(t.Context(), issuer+":x")
		var p *scanedge.Problem
		if errors.As(err, &p) {
			return string(p.Type)
		} else if err != nil {
			t.Fatal(err)
		}
		return string(v.Status)
	}
	push := func(issuer, status string) {
		t.Helper()
		at := o.mustPush(t, issuer, "", []byte("subject,status\nx,"+status+"\n"))
		awaitOffset(t, []*node{stays}, issuer, at.Offset)
	}
	push("gz", "green")
	push("sz", "green")
	eventually(t, "the status everywhere", func() bool { return status(goes, "gz") == "green" })
	if got := status(goes, "sz"); got != "issuer-not-held" {
		t.Errorf("an edge that is enrolled for gz alone says of sz: %s", got)
	}

	o.run("edge", "revoke", goes.name)
	push("gz", "red") // acknowledged, and shown by the other
	if got := status(goes, "gz"); got != "green" {
		t.Errorf("the revoked edge was told of a push after it: %s", got)
	}
	eventually(t, "refused", func() bool { return bytes.Contains(goes.log(), []byte("not-enrolled")) })
	eventually(t, "not ready, for the origin said so", func() bool { return !goes.ready() })
	goes.stop()
	goes.start()
	eventually(t, "refused again", func() bool { return bytes.Count(goes.log(), []byte("not-enrolled")) > 1 })
	if goes.ready() {
		t.Error("it is ready")
	}
	push("gz", "yellow")

	goes.stop()
	if err := os.RemoveAll(filepath.Join(goes.dir, "identity")); err != nil {
		t.Fatal(err)
	}
	goes.argv[slices.Index(goes.argv, "--join")+1] = o.enrol(goes.name, "gz")
	goes.start()
	goes.awaitReady()
	eventually(t, "enrolled anew", func() bool { return status(goes, "gz") == "yellow" })
}

// startOriginOn starts an origin whose edges, on other machines, find it at a host's address.
func startOriginOn(t *testing.T, host string, more ...string) *node {
	t.Helper()
	o := newOrigin(t, releaseBin, append([]string{"--issuers", "gz"}, more...)...)
	o.sockets[2].addr = host + ":0"
	o.beginOrigin()
	return o
}

// edge starts an edge on the machine, enrolled for some issuers, and waits until it is ready. Scanners reach it, over TLS, where its
// work is; the test reaches it by a second cable, which is never cut.
func (m *machine) edge(o *node, issuers ...string) *node {
	m.t.Helper()
	e := newEdgeOf(m.t, releaseBin, o, issuers...)
	e.argv = append([]string{"ip", "netns", "exec", m.name}, e.argv...)
	if token, err := enrol.ParseToken(e.argv[len(e.argv)-1]); err != nil {
		m.t.Fatal(err)
	} else if !strings.Contains(token.URL, m.host) { // its cable leads to another address of the origin's than the first that is advertised
		e.argv = append(e.argv, "--origin", strings.Replace(o.at.TLS, "[::]", m.host, 1))
	}
	for i := range e.sockets {
		e.sockets[i].addr = m.control + ":0"
	}
	e.sockets[1].addr = m.inside + ":0"
	e.begin()
	e.awaitReady()
	return e
}

// machine is a network namespace, which has two cables to the host: one for the edge's work, one for the test to reach it.
type machine struct {
	t       *testing.T
	id      int64
	name    string
	host    string // the host's address on the first cable
	control string // the machine's address on the second
	inside  string // its address on the first
}

var machines atomic.Int64

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, id: machines.Add(1) - 1}
	m.name = fmt.Sprintf("scanedge-%d-%d", os.Getpid()%10_000, m.id)
	m.ip("netns add %s", m.name)
	t.Cleanup(func() { m.ip("netns del %s", m.name) })
	m.ip("-n %s link set lo up", m.name)
	m.host, m.inside = m.cable("a", 0)
	_, m.control = m.cable("b", 4)
	return m
}

func (m *machine) dev(cable string) string {
	return fmt.Sprintf("se%d%s%d", os.Getpid()%10_000, cable, m.id)
}

// cable lays a cable and returns the addresses of its two ends, from a net that is set aside for tests.
func (m *machine) cable(name string, net int64) (host, inside string) {
	m.t.Helper()
	dev := m.dev(name)
	net += m.id % 30 * 8
	host, inside = fmt.Sprintf("198.18.77.%d", net+1), fmt.Sprintf("198.18.77.%d", net+2)
	m.ip("link add %s type veth peer name %s netns %s", dev, dev, m.name)
	m.t.Cleanup(func() { _ = exec.Command("ip", "link", "del", dev).Run() }) // gone already with the namespace, as a rule
	m.ip("addr add %s/30 dev %s", host, dev)
	m.ip("link set %s up", dev)
	m.ip("-n %s addr add %s/30 dev %s", m.name, inside, dev)
	m.ip("-n %s link set %s up", m.name, dev)
	return host, inside
}

// swallow makes the first cable lose every packet: each end believes that the other has a hardware address that nobody has.
func (m *machine) swallow(on bool) {
	m.t.Helper()
	dev := m.dev("a")
	if on {
		m.ip("neigh replace %s lladdr 02:00:00:00:00:01 dev %s nud permanent", m.inside, dev)
		m.ip("-n %s neigh replace %s lladdr 02:00:00:00:00:01 dev %s nud permanent", m.name, m.host, dev)
		return
	}
	m.ip("neigh del %s dev %s", m.inside, dev)
	m.ip("-n %s neigh del %s dev %s", m.name, m.host, dev)
}

func (m *machine) ip(format string, a ...any) {
	m.t.Helper()
	args := strings.Fields(fmt.Sprintf(format, a...))
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		m.t.Fatalf("ip %v (which takes root): %v: %s", args, err, out)
	}
}
