package replica

import (
	"sync"

	"github.com/scanedge/scanedge/cache"
)

// memory is what all tables of an edge may take together.
type memory struct {
	limit int64 // bytes; 0: as much as there is

	mu    sync.Mutex // guards users, and is held while it is decided whether there is room
	users map[*Replica]struct{}
}

func (m *memory) add(r *Replica) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users[r] = struct{}{}
}

func (m *memory) remove(r *Replica) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.users, r)
}

// reserve reports whether there is room for a table of so many bytes beside those that are held, and counts it as held until the
// replica follows another one. A replica that shows none has nothing that it could be read in place of.
func (r *Replica) reserve(size int64) bool {
	m := r.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	r.mu.Lock()
	r.loading = 0
	shown := r.shown
	r.mu.Unlock()
	if m.limit > 0 && shown != nil {
		held := size
		for other := range m.users {
			held += other.held()
		}
		if held > m.limit {
			return false
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loading = size
	return true
}

// held is how many bytes the replica's tables take.
func (r *Replica) held() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := r.loading
	if r.shown != nil {
		held += bytesOf(r.shown.table)
	}
	if r.next != nil && (r.shown == nil || r.next.table != r.shown.table) {
		held += bytesOf(r.next.table)
	}
	return held
}

// bytesOf is the size of a table's buckets; it reads none of them.
func bytesOf(t *cache.Table) (n int64) {
	for _, words := range t.Memory() {
		n += 8 * int64(len(words))
	}
	return n
}
