package access

import (
	"sync/atomic"
	"time"
)

// Uses is the scanner keys that an edge admits, and when each was used last there. Its zero value admits none. Admit is safe for
// concurrent use, also beside the others.
type Uses struct {
	doors atomic.Pointer[map[Hash]*use] // replaced whole
}

// use is of one token, whichever of its secrets was brought.
type use struct {
	id   string
	last atomic.Int64 // Unix seconds; 0: never
}

// Learn makes the keys those that the origin named. What it knew of a token, it keeps. One caller at a time.
func (u *Uses) Learn(c Control) {
	byID := map[string]*use{}
	if before := u.doors.Load(); before != nil {
		for _, d := range *before {
			byID[d.id] = d
		}
	}
	doors := make(map[Hash]*use, len(c.ScannerKeys))
	for hash := range c.ScannerKeys {
		id := c.ScannerIDs[hash]
		d := byID[id]
		if d == nil || id == "" { // an origin of before does not say
			d = &use{id: id}
			byID[id] = d
		}
		doors[hash] = d
	}
	u.doors.Store(&doors)
}

// Admit reports whether a key is one of them, and notes the use. It allocates nothing, and writes to shared memory once a second.
func (u *Uses) Admit(key []byte) bool {
	doors := u.doors.Load()
	if doors == nil {
		return false
	}
	d := (*doors)[HashOf(key)]
	if d == nil {
		return false
	}
	if now := time.Now().Unix(); d.last.Load() != now {
		d.last.Store(now)
	}
	return true
}

// News returns up to most of the uses that sent does not have, by token id, and puts them there.
func (u *Uses) News(sent map[string]int64, most int) map[string]int64 {
	doors := u.doors.Load()
	if doors == nil {
		return nil
	}
	news := map[string]int64{}
	for _, d := range *doors {
		if len(news) == most {
			break
		}
		if last := d.last.Load(); last != 0 && d.id != "" && sent[d.id] != last {
			news[d.id], sent[d.id] = last, last
		}
	}
	return news
}
