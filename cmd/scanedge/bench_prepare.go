package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/day"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/origin"
)

// benchIssuers are those of a prepared target. No other verb makes or changes an issuer because of its name.
var benchIssuers = []string{"bench-a", "bench-b"}

const (
	benchToken = "bench" // the name of a prepared target's tokens; of further keys it is the beginning
	maxKeys    = 1000
	holdWithin = 2 * time.Minute // an edge has to show a population that the origin holds
	holdEvery  = 50 * time.Millisecond
)

var pushOrder = origin.TokenOrder{Kind: access.Push, Name: benchToken, Issuers: benchIssuers}

// keyName is the name of the target's n-th scanner key.
func keyName(n int) string {
	if n == 1 {
		return benchToken
	}
	return fmt.Sprintf("%s-%d", benchToken, n)
}

// benchPrepare are the flags of bench prepare.
type benchPrepare struct {
	operatorFlags
	edges    []string
	admins   []string
	subjects int
	keys     int
	out      string
	own      bool
}

func newBenchPrepareCmd() *cobra.Command {
	var b benchPrepare
	cmd := &cobra.Command{
		Use:   "prepare --edge URL … --subjects N --out FILE",
		Short: "Make issuers, population and keys for a load on any fleet",
		Long: `prepare makes on a fleet that runs what a load is played against, and writes it to FILE (mode 0600) in the shape of up.json, for
bench day --up FILE: two issuers, ` + strings.Join(benchIssuers, " and ") + `, with N subjects of the demo's rule between them (as scanedge up --help tells it), and
a push token, scanner keys without limits and an admin token, named ` + benchToken + `, further keys ` + keyName(2) + `, ` + keyName(3) + ` and so on.
It ends once all edges show the population with those keys.
Nothing else of the fleet is touched. Run again, also after a cut, it completes, and replaces what else the two issuers hold; the tokens get
other secrets, so an older FILE is of no use any more.

The issuers' code keys lie beside FILE, in FILE.code-keys.json (mode 0600). The origin gives them out over TLS, or where it is on this machine.

scanedge bench clean --up FILE takes it all away.`,
		Example: `  scanedge bench prepare --up var/up.json --subjects 1000000 --out bench.json
  SCANEDGE_TOKEN=admin-… scanedge bench prepare --origin http://127.0.0.1:7000 --edge http://127.0.0.1:7001 --subjects 1000000 --out bench.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd) },
	}
	b.add(cmd)
	fl := cmd.Flags()
	fl.StringArrayVar(&b.edges, "edge", nil, "http://HOST:PORT of an edge that the load goes to; may be given again (default those of --up)")
	fl.StringArrayVar(&b.admins, "edge-admin", nil, "http://HOST:PORT of an edge's admin listener, one for each --edge in their order: a day then holds its accounts against what the edges count")
	fl.IntVar(&b.subjects, "subjects", 0, fmt.Sprintf("subjects over both issuers, 2 to %d (needed)", maxSubjects))
	fl.IntVar(&b.keys, "keys", 8, fmt.Sprintf("scanner keys that visits carry by turns, 1 to %d", maxKeys))
	fl.StringVar(&b.out, "out", "", "file that the target is written to (needed)")
	addOwn(cmd, &b.own)
	return cmd
}

func (b *benchPrepare) run(cmd *cobra.Command) error {
	target, err := b.target()
	if err != nil {
		return err
	}
	op, err := b.open()
	if err != nil {
		return err
	}
	ctx, release := untilHangup(cmd.Context())
	defer release()
	p := preparing{op: op, ca: &b.operatorFlags, up: target, keys: b.keys, say: func(format string, a ...any) { cmd.PrintErrf(format+"\n", a...) }}
	if err := p.all(ctx, b.out); err != nil {
		return err
	}
	return b.print(cmd, map[string]any{"out": b.out, "issuers": target.Issuers, "subjects": target.Subjects, "edges": len(target.Edges)}, func() error {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s and %s hold %s, on %s too. Play against them with: scanedge bench day --up %s\n",
			benchIssuers[0], benchIssuers[1], many(b.subjects, "subject"), many(len(target.Edges), "edge"), b.out)
		return err
	})
}

// target is what the flags say of the target.
func (b *benchPrepare) target() (*fleet.Up, error) {
	if b.out == "" {
		return nil, usageError("where is the target to be written? Give --out FILE")
	}
	if b.subjects < len(benchIssuers) || b.subjects > maxSubjects {
		return nil, usageError("--subjects is %d; it must be %d to %d", b.subjects, len(benchIssuers), maxSubjects)
	}
	if b.keys < 1 || b.keys > maxKeys {
		return nil, usageError("--keys is %d; it must be 1 to %d", b.keys, maxKeys)
	}
	running, err := runningFleet(b.up, b.origin)
	if err != nil {
		return nil, err
	}
	up := &fleet.Up{Origin: b.origin, CA: string(b.ca), Issuers: benchIssuers, Subjects: b.subjects, Sample: []fleet.Sample{}}
	if up.Origin == "" || up.Origin == running.Origin {
		up.Origin, up.OriginTLS, up.OriginAdmin, up.NATS = running.Origin, running.OriginTLS, running.OriginAdmin, running.NATS
		up.OriginPID, up.Edges = running.OriginPID, running.Edges
	}
	if up.CA == "" {
		up.CA = running.CA
	} else if up.CA, err = filepath.Abs(up.CA); err != nil {
		return nil, usageError("--ca: %w", err)
	}
	if len(b.edges) > 0 {
		up.Edges = nil
	}
	for i, given := range b.edges {
		scan, err := baseURL("--edge", given)
		if err != nil {
			return nil, err
		}
		up.Edges = append(up.Edges, fleet.Edge{Name: fmt.Sprintf("edge-%d", i+1), Scan: scan})
	}
	if len(b.admins) > 0 && len(b.admins) != len(b.edges) {
		return nil, usageError("there are %d --edge and %d --edge-admin; give one for each", len(b.edges), len(b.admins))
	}
	for i, given := range b.admins {
		if up.Edges[i].Admin, err = baseURL("--edge-admin", given); err != nil {
			return nil, err
		}
	}
	if len(up.Edges) == 0 {
		return nil, usageError("which edges does the load go to? Give --edge URL for each")
	}
	return up, ownFleet(up, b.own)
}

// baseURL checks the address of a listener, and returns it without a slash at its end.
func baseURL(flag, given string) (string, error) {
	if u, err := url.Parse(given); err != nil || u.Scheme != "http" || u.Port() == "" || u.Path != "" && u.Path != "/" {
		return "", usageError("%s is %q; it must be http://HOST:PORT", flag, given)
	}
	return strings.TrimSuffix(given, "/"), nil
}

// preparing is what is made of a target, step by step; each may be done again.
type preparing struct {
	op   *scanedge.Operator
	ca   *operatorFlags
	up   *fleet.Up
	keys int
	say  func(format string, a ...any)
}

func (p *preparing) all(ctx context.Context, out string) error {
	for _, id := range benchIssuers {
		if err := p.issuer(ctx, id); err != nil {
			return err
		}
	}
	if err := p.codeKeys(ctx, out+".code-keys.json"); err != nil {
		return err
	}
	if err := p.tokens(ctx); err != nil {
		return err
	}
	if err := p.up.Save(out); err != nil { // before the long part: what is made now is known to bench clean
		return err
	}
	offsets, err := p.populate(ctx)
	if err != nil {
		return err
	}
	return p.await(ctx, offsets)
}

// issuer makes an issuer unless it is there, and lets it be asked by plain codes.
func (p *preparing) issuer(ctx context.Context, id string) error {
	var now origin.IssuerDetail
	return p.op.Call(ctx, "make issuer "+id, http.MethodPut, issuerURL(id), map[string]any{"plain": true}, &now)
}

// codeKeys writes the issuers' code keys to a file.
func (p *preparing) codeKeys(ctx context.Context, path string) (err error) {
	if p.up.CodeKeys, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("naming the file of code keys: %w", err)
	}
	keys := map[string]json.RawMessage{}
	for _, id := range benchIssuers {
		var has struct {
			Keys json.RawMessage `json:"code_keys"`
		}
		if err := p.op.Call(ctx, "ask for the code keys of "+id, http.MethodGet, issuerURL(id, "code-keys"), nil, &has); err != nil {
			return err
		}
		keys[id] = has.Keys
	}
	return fleet.SaveCodeKeys(p.up.CodeKeys, keys)
}

// tokens makes the target's tokens. Of those that are there nobody may know the secret any more: they get another one, and the one before
// ends at once.
func (p *preparing) tokens(ctx context.Context) error {
	there, err := benchTokens(ctx, p.op)
	if err != nil {
		return err
	}
	if p.up.PushToken, err = p.token(ctx, there, pushOrder); err != nil {
		return err
	}
	if p.up.AdminToken, err = p.token(ctx, there, origin.TokenOrder{Kind: access.Admin, Name: benchToken}); err != nil {
		return err
	}
	p.up.ScannerKeys = nil
	for n := range p.keys {
		key, err := p.token(ctx, there, origin.TokenOrder{Kind: access.Scan, Name: keyName(n + 1), Rate: new(float64), Guard: new(bool)})
		if err != nil {
			return err
		}
		p.up.ScannerKeys = append(p.up.ScannerKeys, key)
	}
	p.up.ScannerKey = p.up.ScannerKeys[0]
	return p.revoke(ctx, there.of(access.Scan)) // of an earlier target with more of them
}

// token makes a token of the target, or gives one that is there another secret. It takes that one from those that are there.
func (p *preparing) token(ctx context.Context, there targetTokens, order origin.TokenOrder) (string, error) {
	what, path, body := "make a token", "/v1/tokens", any(order)
	if id, ok := there[order.Kind][order.Name]; ok {
		delete(there[order.Kind], order.Name)
		what, path, body = "rotate token "+id, "/v1/tokens/"+url.PathEscape(id)+"/rotate", map[string]any{"overlap_s": 0}
	}
	var made origin.MadeToken
	err := p.op.Call(ctx, what, http.MethodPost, path, body, &made)
	return made.Token, err
}

// revoke ends tokens, in their order.
func (p *preparing) revoke(ctx context.Context, ids []string) error {
	for _, id := range ids {
		if err := p.op.Call(ctx, "revoke token "+id, http.MethodDelete, "/v1/tokens/"+url.PathEscape(id), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// targetTokens are ids by kinds and names.
type targetTokens map[access.Kind]map[string]string

func (t targetTokens) of(kind access.Kind) []string { return slices.Sorted(maps.Values(t[kind])) }

// benchTokens are the target's tokens that are in force.
func benchTokens(ctx context.Context, op *scanedge.Operator) (targetTokens, error) {
	tokens, err := listTokens(ctx, op)
	ids := targetTokens{access.Push: {}, access.Scan: {}, access.Admin: {}}
	for _, t := range tokens {
		if (t.Name == benchToken || t.Kind == access.Scan && numbered(t.Name)) && t.Lives(time.Now()) {
			ids[t.Kind][t.Name] = t.ID
		}
	}
	return ids, err
}

// numbered reports whether it is the name of a further key.
func numbered(name string) bool {
	n, err := strconv.Atoi(strings.TrimPrefix(name, benchToken+"-"))
	return err == nil && n >= 2 && n <= maxKeys && name == keyName(n)
}

// pusher is a client that pushes to the target.
func (p *preparing) pusher() (*scanedge.Origin, error) {
	o := scanedge.NewOrigin(p.up.Origin, p.up.PushToken)
	return o, p.ca.ca.trust(p.up.CA, o.TrustCA)
}

// populate makes the issuers hold the population and nothing else, and returns the offset of each from which on they do.
func (p *preparing) populate(ctx context.Context) ([]uint64, error) {
	o, err := p.pusher()
	if err != nil {
		return nil, err
	}
	population := day.Population{Issuers: benchIssuers, Subjects: uint64(p.up.Subjects)}
	offsets := make([]uint64, len(benchIssuers))
	for k, id := range benchIssuers {
		n := int(population.Size(k))
		p.say("%s: %s", id, many(n, "subject"))
		offsets[k], err = replace(ctx, o, id, func(w io.Writer) error { return fleet.WriteDemo(w, n) })
		if err != nil {
			return nil, fmt.Errorf("give %s its %s: %w", id, many(n, "subject"), err)
		}
	}
	return offsets, nil
}

// replace makes what write writes the whole of an issuer's table, if it is not so already.
func replace(ctx context.Context, o *scanedge.Origin, id string, write func(io.Writer) error) (offset uint64, err error) {
	var preview scanedge.Preview
	err = piped(write, func(body io.Reader) (err error) {
		preview, err = o.PreviewReplace(ctx, id, scanedge.NDJSON, body)
		return err
	})
	if f := preview.Figures; err != nil || f.Added+f.Renewed+f.Removed == 0 && len(f.Changed) == 0 {
		return preview.Offset, err
	}
	var applied scanedge.Applied
	err = piped(write, func(body io.Reader) (err error) {
		applied, err = o.Replace(ctx, id, scanedge.NDJSON, body, preview)
		return err
	})
	return applied.Offset, err
}

// piped lets send read what write writes.
func piped(write func(io.Writer) error, send func(io.Reader) error) error {
	r, w := io.Pipe()
	defer r.Close() // whatever happens, the writer ends
	go func() { w.CloseWithError(write(w)) }()
	return send(r)
}

// await asks each edge, with the target's key that was made last as the load will, until it shows the last subject of each issuer.
func (p *preparing) await(ctx context.Context, offsets []uint64) error {
	ctx, cancel := context.WithTimeout(ctx, holdWithin)
	defer cancel()
	for _, e := range p.up.Edges {
		p.say("%s: waiting until it shows them", e.Name)
		edge := scanedge.NewEdge(e.Scan, p.up.ScannerKeys[len(p.up.ScannerKeys)-1])
		for k, id := range benchIssuers {
			if err := shows(ctx, edge, id, offsets[k]); err != nil {
				return fmt.Errorf("%s at %s does not hold %s up to offset %d, %w. See that it may hold the issuer (scanedge edge list) "+
					"and is live (scanedge status), then run this again", e.Name, e.Scan, id, offsets[k], err)
			}
		}
	}
	return nil
}

func shows(ctx context.Context, edge *scanedge.Edge, id string, offset uint64) error {
	last := errors.New("it was not asked")
	for {
		v, err := edge.Scan(ctx, id+":"+day.Name(1))
		switch {
		case err == nil && v.Offset >= offset:
			return nil
		case err == nil:
			last = fmt.Errorf("it is at %d", v.Offset)
		case ctx.Err() == nil:
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: the last that it said: %w", ctx.Err(), last)
		case <-time.After(holdEvery):
		}
	}
}
