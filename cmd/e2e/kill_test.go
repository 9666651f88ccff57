package e2e

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

var (
	kills = flag.Int("kills", 6, "how many processes TestKillsLoseNothingAcknowledged kills")
	seed  = flag.Uint64("seed", 0, "seed of random choices; 0 draws one")
)

// A pusher sets all subjects of its own to one reason, push after push: each push shows whole or not at all.
type pusher struct {
	name     string
	acked    int // the last push that was acknowledged
	tried    int // the last push that was sent
	subjects []string
}

const pusherSubjects = 50

func (p *pusher) run(ctx context.Context, origin *scanedge.Origin) {
	for ctx.Err() == nil {
		p.tried++
		deltas := make([]scanedge.Delta, len(p.subjects))
		for i, s := range p.subjects {
			deltas[i] = scanedge.Delta{Subject: s, Status: scanedge.Yellow, Reason: 1 + p.tried%63}
		}
		// Without the test's own ctx: each push is to have an outcome.
		within, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_, err := origin.Push(within, "demo-a", deltas)
		cancel()
		if err == nil {
			p.acked = p.tried
			continue
		}
		// What was not acknowledged may still be there; only then is it tried again, as the same.
		p.tried--
		time.Sleep(20 * time.Millisecond)
	}
}

func TestKillsLoseNothingAcknowledged(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d", *seed)
	rnd := rand.New(rand.NewPCG(*seed, 0))
	f, _ := startFleet(t, 100)
	up := f.Up()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	pushers := make([]*pusher, 4)
	for i := range pushers {
		p := &pusher{name: fmt.Sprintf("p%d", i)}
		for k := range pusherSubjects {
			p.subjects = append(p.subjects, fmt.Sprintf("%s-%d", p.name, k))
		}
		pushers[i] = p
		wg.Go(func() { p.run(ctx, scanedge.NewOrigin(up.Origin, up.PushToken)) })
	}
	for range *kills {
		time.Sleep(time.Duration(rnd.IntN(700)) * time.Millisecond)
		now := f.Up()
		victims := []int{now.OriginPID, now.OriginPID, now.Edges[0].PID, now.Edges[1].PID}
		pid := victims[rnd.IntN(len(victims))]
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Logf("process %d had ended already: %v", pid, err)
		}
		eventually(t, "started again", func() bool {
			n := f.Up()
			return n.OriginPID != pid && n.Edges[0].PID != pid && n.Edges[1].PID != pid
		})
	}
	stop()
	wg.Wait()
	checkPushers(t, f, pushers)
}

// checkPushers pushes once more, so that every edge is known to hold all that came before, and compares.
func checkPushers(t *testing.T, f *fleet.Fleet, pushers []*pusher) {
	t.Helper()
	up := f.Up()
	var last scanedge.Receipt
	eventually(t, "taking pushes again", func() bool {
		var err error
		last, err = scanedge.NewOrigin(up.Origin, up.PushToken).Push(t.Context(), "demo-a", []scanedge.Delta{{Subject: "end", Status: scanedge.Green}})
		return err == nil
	})
	shown(t, up, "demo-a", last.Offset)
	total := 0
	for _, e := range up.Edges {
		for _, p := range pushers {
			codes := make([]string, len(p.subjects))
			for i, s := range p.subjects {
				codes[i] = "demo-a:" + s
			}
			answers, err := scanedge.NewEdge(e.Scan, up.ScannerKey).ScanMany(t.Context(), codes)
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range answers {
				if a.Error != answers[0].Error || a.Reason != answers[0].Reason {
					t.Fatalf("%s: a push of %s is half there: %+v and %+v", e.Name, p.name, answers[0], a)
				}
				acked, next := 1+p.acked%63, 1+(p.acked+1)%63
				if p.acked > 0 && a.Reason != acked && a.Reason != next {
					t.Fatalf("%s: %s shows push %d, acknowledged was %d", e.Name, codes[i], a.Reason, acked)
				}
			}
		}
	}
	for _, p := range pushers {
		total += p.acked
	}
	if total == 0 {
		t.Error("no push was acknowledged at all")
	}
	t.Logf("%d pushes were acknowledged", total)
}
