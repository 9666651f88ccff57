package scan

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Names of rows.
const (
	rowConstant      = "constant"
	rowPlain         = "plain"
	rowRolling       = "rolling"
	rowSigned        = "signed"
	rowPipelined     = "pipelined"
	rowBatch         = "batch"
	rowNginx         = "nginx"
	rowRedis         = "redis"
	rowRedisPipeline = "redis-pipelined"
)

const (
	pipelineDepth = 16
	redisDepth    = 32
	batchLines    = 1000
	batchConns    = 16
)

// row is one thing that is measured.
type row struct {
	name   string
	server string // whose it is: one of the names in run.at
	what   string // for a person
	unit   string
	timed  bool // the edge's own histogram is read
	load   func(m *run) load
}

// connections is how many the load keeps open, as in wrk -c64.
const connections = 64

// load asks one server, again and again, over each of its connections as soon as that has its answers.
type load struct {
	addr  string
	conns int

	ask      func([]byte) []byte             // appends a request, or several at once
	answers  int                             // how many answers it has
	verdicts int                             // how many verdicts are in one answer, if not one
	length   func([]byte) (n int, err error) // of the answer that b begins with: 0 if it has not come whole
}

const (
	serverEdge     = "edge"
	serverConstant = "constant"
	serverNginx    = "nginx"
	serverRedis    = "redis"
)

var allRows = []row{
	{rowConstant, serverConstant, "bare fasthttp, a constant answer", "answers/s", false, func(m *run) load {
		return load{ask: m.asks.plain, answers: 1, length: httpLength}
	}},
	{rowPlain, serverEdge, "scans, plain codes", "scans/s", true, func(m *run) load {
		return load{ask: m.asks.plain, answers: 1, length: httpLength}
	}},
	{rowRolling, serverEdge, "scans, rolling codes", "scans/s", true, func(m *run) load {
		return load{ask: m.asks.rolling(min(rollingCodes, int(m.Slice.Seconds()*rollingRate)+1000)), answers: 1, length: httpLength}
	}},
	{rowSigned, serverEdge, fmt.Sprintf("scans, %d signed codes again and again", signedCodes), "scans/s", true, func(m *run) load {
		return load{ask: m.asks.again(), answers: 1, length: httpLength}
	}},
	{rowPipelined, serverEdge, fmt.Sprintf("scans, plain codes, pipelined by %d", pipelineDepth), "scans/s", false, func(m *run) load {
		return load{ask: pipelined(pipelineDepth, m.asks.plain), answers: pipelineDepth, length: httpLength}
	}},
	{rowBatch, serverEdge, fmt.Sprintf("batches of %d plain codes", batchLines), "verdicts/s", false, func(m *run) load {
		return load{conns: batchConns, ask: m.asks.batch(batchLines), answers: 1, verdicts: batchLines, length: batchLength(batchLines)}
	}},
	{rowNginx, serverNginx, "nginx, return 200 with that answer", "answers/s", false, func(m *run) load {
		return load{ask: m.asks.plain, answers: 1, length: httpLength}
	}},
	{rowRedis, serverRedis, "Redis, GET one by one", "answers/s", false, func(m *run) load {
		return load{ask: m.redisGet, answers: 1, length: redisLength}
	}},
	{rowRedisPipeline, serverRedis, fmt.Sprintf("Redis, GET pipelined by %d", redisDepth), "answers/s", false, func(m *run) load {
		return load{ask: pipelined(redisDepth, m.redisGet), answers: redisDepth, length: redisLength}
	}},
}

func (m *run) redisGet(b []byte) []byte { return m.asks.getBelow(b, m.r.RedisSubjects) }

// RowNames are the names of all rows.
func RowNames() (names []string) {
	for _, r := range allRows {
		names = append(names, r.name)
	}
	return names
}

// CheckRows reports whether there are rows of those names.
func CheckRows(names []string) error {
	_, err := rowsOf(names)
	return err
}

// rowsOf are the rows of those names, all for none.
func rowsOf(names []string) ([]row, error) {
	for _, n := range names {
		if !slices.Contains(RowNames(), n) {
			return nil, fmt.Errorf("no row %q; there are %s", n, strings.Join(RowNames(), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(allRows), func(r row) bool { return names != nil && !slices.Contains(names, r.name) }), nil
}

// start starts what the rows need, the edge in any case, and returns those rows whose servers there are.
func (m *run) start(ctx context.Context, dir string, rows []row) (left []row, err error) {
	m.edge, err = m.serve(ctx, order{Subjects: m.Subjects}, func(done float64) { m.progress("filling the edge's table", 0.2*done) })
	if err != nil {
		return nil, err
	}
	m.at[serverEdge] = m.edge.Addr
	for _, s := range []struct {
		name  string
		start func() (addr string, err error)
	}{
		{serverConstant, func() (string, error) {
			s, err := m.serve(ctx, order{Constant: m.edge.Answer}, func(float64) {})
			if err != nil {
				return "", err
			}
			return s.Addr, nil
		}},
		{serverNginx, func() (string, error) { return m.nginx(dir) }},
		{serverRedis, func() (string, error) { return m.redis(ctx, dir) }},
	} {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.server == s.name }) {
			continue
		}
		if m.at[s.name], err = s.start(); err != nil {
			return nil, fmt.Errorf("starting %s: %w", s.name, err)
		}
		if m.at[s.name] == "" {
			rows = slices.DeleteFunc(rows, func(r row) bool { return r.server == s.name })
		}
	}
	return rows, nil
}
