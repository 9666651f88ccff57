package main

import (
	"bufio"
	"bytes"
	"fmt"
	"log"
	"math"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge"
	"github.com/scanedge/scanedge/edge/limit"
)

// costOfEdge is the environment variable by which this program is told that it is the edge, and what a scan costs it.
const costOfEdge = "SCANEDGE_OVERLOAD_COST"

// beTheEdge does not return in a process that is the edge.
func beTheEdge() {
	if cost, err := time.ParseDuration(os.Getenv(costOfEdge)); err == nil {
		pin(0)
		log.Fatal(serve(cost))
	}
}

// serve is an edge of one subject on one processor until it is killed. Who asks is looked up at a cost.
func serve(cost time.Duration) error {
	runtime.GOMAXPROCS(1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := edge.New(metrics.NewSet())
	v := edge.Vouch{Seed: cache.NewSeed(), Table: new(cache.Table), Beat: time.Now(), MaxStale: 24 * time.Hour}
	green, err := cache.NewRecord(cache.Green, 0, time.Time{})
	if err != nil {
		return err
	}
	v.Table.Put(v.Seed.Key([]byte("g")), green)
	s.Hold([]string{"demo"})
	s.Publish("demo", v)
	steps := stepsOf(cost)
	s.Admit(func([]byte, time.Time) (limit.Caller, bool) {
		work(steps)
		return limit.Caller{}, true
	})
	fmt.Println(l.Addr())
	return s.HTTP().Serve(s.Door(edge.Bounds{Connections: 20_000, PerAddress: 20_000}).Listen(l))
}

// stepsOf returns how much work takes so long on a processor that does nothing else. Time itself would not do: a scan would cost less where others have
// half of the processor.
func stepsOf(cost time.Duration) int {
	const many = 100_000
	least := time.Duration(math.MaxInt64)
	for range 200 {
		began := time.Now()
		work(many)
		least = min(least, time.Since(began))
	}
	return int(many * cost / least)
}

var worked uint64

func work(steps int) {
	x := worked
	for range steps {
		x = x*6364136223846793005 + 1442695040888963407 // each step waits for the one before
	}
	worked = x
}

// edgeProcess is an edge under load.
type edgeProcess struct {
	cmd  *exec.Cmd
	addr string
}

func startEdge(cost time.Duration) (*edgeProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	e := &edgeProcess{cmd: exec.Command(self)}
	e.cmd.Env = append(os.Environ(), costOfEdge+"="+cost.String())
	e.cmd.Stderr = os.Stderr
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		e.end()
		return nil, fmt.Errorf("the edge did not say where it listens: %w", err)
	}
	e.addr = strings.TrimSpace(line)
	return e, nil
}

// used is how long the edge has had a processor, 0 where the system does not say it so.
func (e *edgeProcess) used() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", e.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // from the third on
	ticks := 0
	for _, f := range fields[11:13] { // utime, stime: in hundredths of a second
		n, _ := strconv.Atoi(f)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func (e *edgeProcess) end() {
	_ = e.cmd.Process.Kill()
	_ = e.cmd.Wait()
}
