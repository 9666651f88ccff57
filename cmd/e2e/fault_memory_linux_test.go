package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

// A bit of an edge's memory flips, and a scan shows it: the scrub finds it, the edge stops vouching, says which shard it was,
// and mends itself.
func TestFaultFlippedMemory(t *testing.T) {
	o := startOrigin(t, releaseBin, "--issuers", "gz")
	edge := startEdges(t, 1, releaseBin, o, "--scrub-every", "2s")[0]
	// yellow, reason 42, and a minute with no zero byte: 32 bits that are rare in memory.
	until := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Add(0xABCDE5 * time.Minute)
	const record = "\xE5\xCD\xAB\x6A"
	o.mustPush(t, "gz", "", rows("s", 0, 100_000, 1))
	r := o.mustPush(t, "gz", "", []byte("subject,status,reason,until\nmarked,yellow,42,"+until.Format(time.RFC3339)+"\n"))
	awaitOffset(t, []*node{edge}, "gz", r.Offset)

	scan := func() scanedge.Verdict {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		v, err := edge.scanner(o).Scan(ctx, "gz:marked")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := scan(); v.Status != scanedge.Yellow || v.Stale {
		t.Fatalf("%+v", v)
	}
	flipRecord(t, edge.cmd.Process.Pid, record, func() bool { return scan().Status != scanedge.Yellow })
	began := time.Now()
	saw := map[string]bool{}
	eventually(t, "mended", func() bool {
		v := scan()
		saw[fmt.Sprintf("%s stale=%v", v.Status, v.Stale)] = true
		return v.Status == scanedge.Yellow && !v.Stale
	})
	t.Logf("right and vouched for again %v after the flip; answers were %v", time.Since(began).Round(time.Millisecond), saw)
	if !strings.Contains(string(edge.log()), "shard") {
		t.Error("the edge does not say which shard failed its scrub")
	}
	mustAllBe(t, []*node{edge}, o, "gz", "s", 0, 100_000, 1)
}

// flipRecord flips a bit of the record's status in the memory of a process, wherever those bytes lie, until it shows.
func flipRecord(t *testing.T, pid int, record string, shows func() bool) {
	t.Helper()
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		t.Fatalf("the edge's memory must be written, which takes root: %v", err)
	}
	defer mem.Close()
	places := 0
	for _, area := range anonymous(t, pid) {
		b := make([]byte, area[1]-area[0])
		n, _ := io.ReadFull(io.NewSectionReader(mem, area[0], area[1]-area[0]), b)
		for at := bytes.Index(b[:n], []byte(record)); at >= 0; {
			places++
			high := area[0] + int64(at) + 3
			for _, bit := range []byte{0x40, 0} { // green, and yellow again if it was not the table
				if _, err := mem.WriteAt([]byte{record[3] ^ bit}, high); err != nil {
					t.Fatal(err)
				}
				if bit > 0 && shows() {
					return
				}
			}
			next := bytes.Index(b[at+1:n], []byte(record))
			if next < 0 {
				break
			}
			at += 1 + next
		}
	}
	t.Fatalf("the record lies in %d places, and none is the table's", places)
}

// anonymous lists the writable mappings of a process that are no file's.
func anonymous(t *testing.T, pid int) (areas [][2]int64) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to, offset, inode int64
		var mode, device string
		_, err := fmt.Sscanf(lines.Text(), "%x-%x %s %x %s %d", &from, &to, &mode, &offset, &device, &inode)
		if err == nil && inode == 0 && strings.HasPrefix(mode, "rw") && to-from < 1<<30 {
			areas = append(areas, [2]int64{from, to})
		}
	}
	return areas
}
