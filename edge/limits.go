package edge

import (
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge/edge/limit"
	"github.com/scanedge/scanedge/edge/passcode"
)

// Guests are how those are limited who bring no scanner key: holders, who show a code that proves itself, and everybody else. They are
// limited by their address, and what is wrong counts apart from what is right: so one who tries codes locks out whoever tries codes
// there, and a hall full of holders behind the same address goes on.
type Guests struct {
	Addresses *limit.Ranges
	Holders   *limit.Rules // of each holder, wherever he is limited by his address too: or one could use up what others share with him
	Table     *limit.Table
	Proxies   *Proxies // nil: the address is the connection's

	Certificates bool         // a verified client certificate stands for a scanner key, known by its common name
	Certified    *limit.Rules // of each of those
}

// Limit sets how guests are limited; without it they are not. Call it before the server serves.
func (s *Server) Limit(g Guests) { s.guests = &g }

// Clock is a time as limits count it.
func (s *Server) Clock(t time.Time) int64 { return int64(t.Sub(s.born)) }

// limited counts what was refused: a scan, or a batch as a whole, or its lines after one that was too much.
type limited struct{ rate, guard *metrics.Counter }

func newLimited(set *metrics.Set) limited {
	return limited{set.NewCounter(`scanedge_limited_total{reason="rate"}`), set.NewCounter(`scanedge_limited_total{reason="guard"}`)}
}

// certified finds out whether the connection came with a verified certificate, if that counts: then a scanner asks.
func (s *Server) certified(ctx *fasthttp.RequestCtx, by *asker) bool {
	g := s.guests
	if g == nil || !g.Certificates {
		return false
	}
	state := ctx.TLSConnectionState()
	if state == nil || len(state.VerifiedChains) == 0 {
		return false
	}
	name := g.Table.Name(limit.Certificate, []byte(state.PeerCertificates[0].Subject.CommonName))
	by.scanner, by.limits = true, g.Table.Caller(name, g.Certified, s.Clock(by.at))
	return true
}

// guest is by what one is limited who proved nothing yet: his address.
func (s *Server) guest(ctx *fasthttp.RequestCtx, at time.Time) limit.Caller {
	g := s.guests
	if g == nil {
		return limit.Caller{}
	}
	from := g.Proxies.client(&ctx.Request.Header, addressOf(ctx.RemoteAddr()))
	return g.Table.Caller(limit.Address(from), g.Addresses.Rules(from), s.Clock(at))
}

// addressOf is the address of a connection's other end; of what is no TCP connection it is 0.0.0.0.
func addressOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		if ip := tcp.AddrPort().Addr(); ip.IsValid() {
			return ip
		}
	}
	return netip.IPv4Unspecified()
}

// spend takes n scans from what a scanner may do, at the time of its request. It answers one that it may not do, and reports whether it
// may.
func (s *Server) spend(ctx *fasthttp.RequestCtx, by *asker, n int) bool {
	if !by.scanner || !by.limits.Limited() {
		return true
	}
	why, wait := by.limits.Take(n, s.Clock(by.at))
	if why == limit.No {
		return true
	}
	var v verdict
	s.refuse(&v, why, wait)
	s.count(&v)
	v.fail(ctx)
	return false
}

// charge books what a code was found to be with him who asked, just before it is counted. If he has collected too much, also by lines of
// this very batch, he is told that instead. A guest pays his scan only here, where it is known whether he proved himself.
func (s *Server) charge(v *verdict, by *asker) {
	if !by.limits.Limited() {
		return
	}
	now := s.Clock(v.now)
	if !by.scanner {
		s.chargeGuest(v, by.limits, now)
	} else if wait := by.limits.Locked(now); wait > 0 {
		s.refuse(v, limit.LockedOut, wait)
	} else if v.tried() {
		if why, wait := by.limits.Bad(1, now); why == limit.LockedOut {
			s.refuse(v, why, wait)
		}
	}
}

// chargeGuest lets one whose code proves itself through what others did at his address, but for its rate. Who is refused by an edge that is
// not ready did nothing.
func (s *Server) chargeGuest(v *verdict, address limit.Caller, now int64) {
	var why limit.Why
	var wait time.Duration
	switch proven := v.vouch != nil; {
	case v.outcome == notReady:
	case !proven && address.Guarded():
		why, wait = address.Bad(1, now)
	case proven:
		t := s.guests.Table
		why, wait = t.Caller(t.Name(limit.Holder, v.code.Issuer(), v.code.Subject()), s.guests.Holders, now).Spend(1, now)
		fallthrough
	default:
		if why == limit.No {
			why, wait = address.Spend(1, now)
		}
	}
	if why != limit.No {
		s.refuse(v, why, wait)
	}
}

// tried reports whether a scanner that collects such codes looks for those that there are. One that its issuer made was not guessed.
func (v *verdict) tried() bool {
	return v.outcome == malformedCode || v.outcome == forgedCode || v.outcome == unknownSubject && v.code.Kind == passcode.Plain
}

// refuse makes it the verdict that the scan was one too many.
func (s *Server) refuse(v *verdict, why limit.Why, wait time.Duration) {
	v.outcome, v.wait = tooFast, max(wait, 1)
	if why == limit.LockedOut {
		v.outcome = lockedOut
	}
	if why == limit.TooFast {
		s.limited.rate.Inc()
	} else {
		s.limited.guard.Inc()
	}
}

// fail answers with the verdict's problem.
func (v *verdict) fail(ctx *fasthttp.RequestCtx) {
	var out [512]byte
	failWith(ctx, v.outcome.problem(), v.appendProblem(out[:0]))
	if v.wait > 0 {
		seconds := int64((v.wait + time.Second - 1) / time.Second)
		ctx.Response.Header.SetCanonical(retryAfter, strconv.AppendInt(out[:0], seconds, 10))
	}
}
