package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge/edge"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/enrol"
	"github.com/scanedge/scanedge/sync/issuer"
	"github.com/scanedge/scanedge/sync/replica"
)

// edgeProcess is an edge in this process: its tables, its doors, and what stands behind them.
type edgeProcess struct {
	f      edgeFlags
	dir    *dataDir
	id     *enrol.Identity
	origin string
	logger *slog.Logger

	set    *metrics.Set
	fleet  *fellows
	server *edge.Server
	keys   *access.Uses
	keeper *replica.Keeper
	front  *fasthttp.Server
	door   *edge.Door // all scans come in by it
	shown  *shownCert // to scanners; nil: id

	at           doors
	admin, peers *web
	scans        sync.WaitGroup // what accepts scans

	renewing sync.WaitGroup
	endRenew context.CancelFunc

	before     *predecessor    // that this one takes over from; nil: none
	successors chan *successor // one that serves
}

// newEdgeProcess makes it; it does nothing yet.
func newEdgeProcess(f edgeFlags, dir *dataDir, at doors, before *predecessor, id *enrol.Identity, shown *shownCert,
	logger *slog.Logger) *edgeProcess {
	p := &edgeProcess{
		f: f, dir: dir, at: at, id: id, shown: shown, origin: strings.TrimRight(cmp.Or(f.origin, id.Origin()), "/"), logger: logger,
		set: metrics.NewSet(), fleet: new(fellows), keys: new(access.Uses), before: before, successors: make(chan *successor),
	}
	config := replica.Config{Incarnation: f.incarnation, PeerURL: p.listening().Peer}
	if before != nil {
		config.Silent = true
		if before.has(peerDoor, f.peer) {
			config.PeerURL = before.hello.At.Peer
		}
	}
	p.server = edge.New(p.set)
	p.server.Remember(int(f.memo))
	f.limits.made.apply(p.server, p.keys, p.set)
	var rings keyrings
	p.server.Hold(f.issuers)
	p.server.AllowOrigins(f.front.origins)
	p.front, p.door = p.server.HTTP(), p.server.Door(f.limits.made.exempt(f.front.bounds(openFiles(), logger)))
	config.Origin, config.Client, config.Sources = p.origin, client(id.Client()), client(id.ToSources(p.fleet.know))
	config.Issuers, config.Dir, config.MemoryLimit = f.issuers, f.dir, int64(f.memory)
	config.SnapshotEvery, config.ScrubEvery = f.snapshotEvery, f.scrubEvery
	config.Version, config.Scans, config.Used = version, p.server.Scans, p.keys.News
	config.Learned = func(c access.Control) {
		p.fleet.learn(c.Edges)
		p.keys.Learn(c, f.limits.made.ofKey)
		learn(p.server, f.issuers, c, p.keys)
	}
	config.Publish = func(pub issuer.Public, v replica.View) { p.server.Publish(pub.ID, vouch(pub, v, rings.of(pub))) }
	config.Logger, config.Metrics = logger, p.set
	p.keeper = replica.New(config)
	shown.gauge(p.set)
	p.set.NewGauge("scanedge_certificate_expires_seconds", func() float64 { return float64(id.Ends().Unix()) })
	return p
}

// run holds the tables and answers scans until ctx ends and what was under way then is answered, or another process has taken over.
func (p *edgeProcess) run(ctx context.Context) error {
	holding, end := context.WithCancel(context.WithoutCancel(ctx)) // tables are kept true for as long as scans are answered from them
	var held sync.WaitGroup
	held.Go(func() { p.keeper.Run(holding) })
	p.renew()
	defer func() {
		p.stopRenewing()
		end()
		held.Wait()
	}()
	if p.before != nil {
		defer p.before.close()
		if serving, err := p.takeOver(ctx); !serving {
			return err
		}
	} else if err := p.open(); err != nil {
		return err
	}
	defer p.startsSuccessors()()
	return p.serve(ctx)
}

// serve answers until ctx ends, or a successor does.
func (p *edgeProcess) serve(ctx context.Context) error {
	for {
		offering, err := p.offer(ctx)
		if err != nil {
			p.logger.Warn("no other process can take this edge over; to restart it costs what is under way", "err", err)
		}
		select {
		case <-ctx.Done():
			offering.end()
			p.stop()
			return nil
		case s := <-p.successors:
			offering.end()
			if p.retire(ctx, s) {
				return nil
			}
			if err := p.comeBack(s); err != nil {
				return err
			}
		}
	}
}

// stop finishes what is under way and takes nothing new. The admin listener says meanwhile that this edge is not ready.
func (p *edgeProcess) stop() {
	p.logger.Info("stopping")
	p.before.tellStop()
	notifySupervisor("STOPPING=1")
	p.server.Drain(true)
	p.at[scanDoor].closeSoon()
	p.at[secureDoor].closeSoon()
	p.scans.Wait()
	_, _ = p.at[scanDoor].end(), p.at[secureDoor].end()
	p.drained(nil, nil)
	p.finish()
	p.closeWebs()
}

// open begins to answer at the doors, and says so.
func (p *edgeProcess) open() error {
	for _, d := range p.at {
		if err := d.open(); err != nil {
			return err
		}
	}
	if d := p.at[peerDoor]; d != nil {
		secure := func(s *http.Server) { s.TLSConfig = p.id.ForPeers(p.fleet.know) }
		p.peers = serveTLS(d, forFellows(p.fleet.know, p.keeper.Peers()), secure, p.logger)
	}
	unready := func() string { return cmp.Or(p.keeper.Refused(), p.server.Unready()) }
	p.admin = serve(p.at[adminDoor], adminHandler(p.set, unready, edgeReport(p.id.Name(), p.keeper)), p.logger)
	scans, secure := p.at[scanDoor], p.at[secureDoor]
	p.scans.Go(func() { p.accepted(p.front.Serve(p.door.Listen(scans))) })
	p.scans.Go(func() {
		asks := p.f.limits.made.askForCertificates(p.shown.server(p.id.Server()))
		p.accepted(p.front.Serve(tls.NewListener(p.door.Listen(secure), asks)))
	})
	says := p.listening()
	p.dir.lent = false
	if err := p.dir.announce(says); err != nil {
		return err
	}
	p.logger.Info("edge is up", "version", version, "scan", says.Scan, "scan_tls", says.ScanTLS, "admin", says.Admin, "origin", p.origin)
	notifySupervisor(fmt.Sprintf("READY=1\nMAINPID=%d", os.Getpid()))
	return nil
}

// accepted is called when no more scans are accepted at a door.
func (p *edgeProcess) accepted(err error) {
	if err != nil {
		p.logger.Error("no more connections are accepted", "err", err)
	}
}

func (p *edgeProcess) listening() edgeListening {
	url := func(scheme, name string) string {
		if d := p.at[name]; d != nil {
			return scheme + d.Addr().String()
		}
		return ""
	}
	return edgeListening{
		os.Getpid(), p.id.Name(), url("http://", scanDoor), url("https://", secureDoor), url("http://", adminDoor), url("https://", peerDoor),
	}
}

// shutScans makes no connection more be accepted, and returns when none is.
func (p *edgeProcess) shutScans() {
	_ = p.at[scanDoor].Close()
	_ = p.at[secureDoor].Close()
	p.scans.Wait()
}

func (p *edgeProcess) closeWebs() {
	p.admin.stop()
	if p.peers != nil {
		p.peers.stop()
	}
}

// drained waits until no connection is left on which a scan could come: each is closed with its next answer. Those on which nothing is asked
// are waited for no longer than --drain; an end of hurry ends that early. It reports whether back did, which then it was.
func (p *edgeProcess) drained(hurry, back <-chan struct{}) (cameBack bool) {
	over := time.NewTimer(p.f.drain)
	defer over.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for p.front.GetOpenConnectionsCount()+1 > 0 { // it takes one off for a listener, of which there is none any more
		select {
		case <-look.C:
		case <-over.C:
			return false
		case <-hurry:
			return false
		case <-back:
			return true
		}
	}
	return false
}

// finish closes the connections that are left, once what is under way on them is answered.
func (p *edgeProcess) finish() {
	ending, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	if err := p.front.ShutdownWithContext(ending); err != nil {
		p.logger.Warn("scans under way were cut off", "err", err, "within", drainWithin)
	}
	for range 100 { // those who were told to leave have a second
		if p.door.Open() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// renew keeps the certificates good until stopRenewing.
func (p *edgeProcess) renew() {
	ctx, end := context.WithCancel(context.Background())
	p.endRenew = end
	p.renewing.Go(func() { p.id.Keep(ctx, p.origin, p.logger) })
	p.renewing.Go(func() { sayLockedOut(ctx, p.server, p.keys, p.logger) })
	p.renewing.Go(func() { p.shown.keep(ctx, p.logger) })
}

func (p *edgeProcess) stopRenewing() {
	p.endRenew()
	p.renewing.Wait()
}
