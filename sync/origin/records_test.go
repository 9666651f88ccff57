package origin

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
)

func get(o *Origin, token, path string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodGet, path, nil)
	req.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	o.API().ServeHTTP(rec, req)
	return rec
}

// framed are the records of an answer.
func framed(t *testing.T, b []byte) (records [][]byte) {
	t.Helper()
	for len(b) > 0 {
		n := int(binary.LittleEndian.Uint32(b))
		records, b = append(records, b[4:4+n]), b[4+n:]
	}
	return records
}

func TestRecordsAreThoseOfTheLog(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	w := o.writers["demo-a"]
	for i := range 5 {
		pushOK(t, o, "demo-a", row(fmt.Sprint("x", i), "red"))
	}
	pushOK(t, o, "demo-a", "subject,status\n"+strings.Repeat("x,red\n", 60_000)) // of more than one message
	stopWriter(o)
	var want [][]byte
	if _, err := w.log.Replay(t.Context(), 0, func(e deltalog.Entry) error {
		want = append(want, e.Record)
		return nil
	}); err != nil || len(want) != 7 {
		t.Fatal(len(want), err)
	}
	at, n := cache.Position{}, 0 // read on, two at a time, each as the chain says
	for {
		rec := get(o, o.tokens.Admin, fmt.Sprintf("/v1/issuers/demo-a/records?after=%d&limit=2", at.Offset))
		records := framed(t, rec.Body.Bytes())
		if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "application/octet-stream" || len(records) > 2 {
			t.Fatalf("%d %v: %d records", rec.Code, rec.Header(), len(records))
		}
		for _, r := range records {
			head, _, hash, err := issuer.Open(r)
			if err == nil {
				err = head.Follows(at, "demo-a", head.Offset)
			}
			if err != nil || !bytes.Equal(r, want[n]) {
				t.Fatalf("record %d: %v", n, err)
			}
			at, n = cache.Position{Offset: head.Offset, Hash: hash}, n+1
		}
		if len(records) == 0 {
			break
		}
	}
	if n != len(want) || at != w.at {
		t.Errorf("%d records up to %s, want %d up to %s", n, at, len(want), w.at)
	}
	if rec := get(o, o.tokens.Push, "/v1/issuers/demo-a/records"); len(framed(t, rec.Body.Bytes())) != len(want) {
		t.Error("with a push token and no question:", rec.Code)
	}
	if rec := get(o, o.tokens.Push, "/v1/issuers/demo-a/records?after=18446744073709551615"); rec.Code != 200 || rec.Body.Len() != 0 {
		t.Errorf("after what there is: %d %s", rec.Code, rec.Body)
	}
}

func TestRecordsThatWereTrimmed(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	w := o.writers["demo-a"]
	var offsets []uint64
	for i := range 4 {
		offsets = append(offsets, pushOK(t, o, "demo-a", row(fmt.Sprint("x", i), "red")).Offset)
	}
	stopWriter(o)
	if err := w.log.Trim(t.Context(), offsets[1]); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{410, 200, 200} {
		rec := get(o, o.tokens.Push, fmt.Sprintf("/v1/issuers/demo-a/records?after=%d", offsets[i]))
		if rec.Code != want || want == 410 && !strings.Contains(rec.Body.String(), `"trimmed"`) ||
			want == 200 && len(framed(t, rec.Body.Bytes())) != 3-i {
			t.Errorf("after %d: %d %.200s", offsets[i], rec.Code, rec.Body)
		}
	}
}

func TestRecordsRefusals(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	for _, c := range []struct {
		token, path string
		status      int
	}{
		{"", "demo-a/records", 401}, {o.tokens.Scanner, "demo-a/records", 401}, {o.tokens.Push, "demo-z/records", 404},
		{o.tokens.Push, "demo-a/records?after=x", 400}, {o.tokens.Push, "demo-a/records?after=-1", 400},
		{o.tokens.Push, "demo-a/records?limit=0", 400}, {o.tokens.Push, "demo-a/records?limit=1001", 400},
		{o.tokens.Push, "demo-a/records?limit=", 200}, {o.tokens.Push, "demo-a/records?limit=1000", 200},
	} {
		if rec := get(o, c.token, "/v1/issuers/"+c.path); rec.Code != c.status {
			t.Errorf("%s: %d %s", c.path, rec.Code, rec.Body)
		}
	}
}
