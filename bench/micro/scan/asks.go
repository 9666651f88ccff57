package scan

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge/passcode"
)

const (
	issuer = "demo-a"
	token  = "scanedge-bench-scan-0123456789abcdef" // a scanner key's length
	keyID  = 1

	rollingCodes = 1 << 18 // made for one round, at most, and a second
	rollingRate  = 150_000
	signedCodes  = 1 << 12 // asked for again and again
)

// What the edge under test and the load agree on. It guards nothing.
var (
	codeKey = passcode.NewKey(issuer, keyID, digest("code key"))
	signing = ed25519.NewKeyFromSeed(digest("signing key"))
)

func digest(of string) []byte {
	sum := sha256.Sum256([]byte("scanedge bench scan: " + of))
	return sum[:]
}

// recordOf is the record of the n-th subject: of ten seven are green, none ends.
func recordOf(n uint64) cache.Record {
	s := [10]cache.Status{7: cache.Yellow, 8: cache.Red, 9: cache.Void}[n%10]
	r, _ := cache.NewRecord(s, 0, time.Time{}) // never fails
	return r
}

// appendSubject appends the id of the n-th subject.
func appendSubject(b []byte, n uint64) []byte {
	var digits [10]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return append(append(b, 'd'), digits[:]...)
}

// asks makes requests for random subjects.
type asks struct {
	subjects uint64
	random   *rand.Rand

	signed [][]byte // requests
}

func newAsks(subjects uint64) *asks {
	return &asks{subjects: subjects, random: rand.New(rand.NewPCG(subjects, uint64(time.Now().UnixNano())))}
}

func (a *asks) draw() uint64 { return a.random.Uint64N(a.subjects) }

const (
	getHead  = "GET /v1/scan/"
	headTail = " HTTP/1.1\r\nHost: edge.example\r\nAuthorization: Bearer " + token + "\r\n\r\n"
)

// plain appends a scan of a plain code.
func (a *asks) plain(b []byte) []byte {
	b = append(b, getHead+issuer+":"...)
	return append(appendSubject(b, a.draw()), headTail...)
}

// batch returns a function that appends a batch of so many plain codes.
func (a *asks) batch(lines int) func(b []byte) []byte {
	const line = len(issuer) + 1 + 11 + 1
	head := fmt.Sprintf("POST /v1/scan HTTP/1.1\r\nHost: edge.example\r\nAuthorization: Bearer %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n",
		token, lines*line)
	return func(b []byte) []byte {
		b = append(b, head...)
		for range lines {
			b = append(b, issuer+":"...)
			b = append(appendSubject(b, a.draw()), '\n')
		}
		return b
	}
}

// pipelined returns a function that appends n of a request.
func pipelined(n int, one func([]byte) []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		for range n {
			b = one(b)
		}
		return b
	}
}

// rolling makes n rolling codes of this moment and returns a function that appends a scan of one after the other.
func (a *asks) rolling(n int) func([]byte) []byte {
	step := passcode.Step(time.Now().Unix())
	all := make([][]byte, n)
	for i := range all {
		subject := appendSubject(nil, a.draw())
		all[i] = []byte(getHead + codeKey.Secret(subject).Mint(issuer, keyID, subject, step) + headTail)
	}
	return inTurn(all)
}

// again returns a function that appends scans of signed codes that the edge has seen before, but for the first time.
func (a *asks) again() func([]byte) []byte {
	if a.signed == nil {
		now := time.Now().Unix()
		for range signedCodes {
			code := passcode.Sign(signing, issuer, appendSubject(nil, a.draw()), uint32(now-60), uint32(now+24*3600))
			a.signed = append(a.signed, []byte(getHead+code+headTail))
		}
	}
	return inTurn(a.signed)
}

func inTurn(all [][]byte) func([]byte) []byte {
	i := 0
	return func(b []byte) []byte {
		i++
		return append(b, all[i%len(all)]...)
	}
}

// getBelow appends a GET of the status of one of so many subjects, as Redis takes it.
func (a *asks) getBelow(b []byte, subjects uint64) []byte {
	b = append(b, "*2\r\n$3\r\nGET\r\n$18\r\n"+issuer+":"...)
	return append(appendSubject(b, a.random.Uint64N(subjects)), "\r\n"...)
}

// set appends a SET of the n-th subject's status.
func set(b []byte, n uint64) []byte {
	b = append(b, "*3\r\n$3\r\nSET\r\n$18\r\n"+issuer+":"...)
	b = append(appendSubject(b, n), "\r\n$"...)
	word := recordOf(n).Status().String()
	b = strconv.AppendInt(b, int64(len(word)), 10)
	return append(append(append(b, "\r\n"...), word...), "\r\n"...)
}
