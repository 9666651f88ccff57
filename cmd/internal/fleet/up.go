package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/scanedge/scanedge/sync/durable"
)

// UpFile is the name of the file, in the fleet's folder, that says what runs where.
const UpFile = "up.json"

// Up says what runs where and how to talk to it: the content of DIR/up.json. Its JSON names are a promise; more may join.
type Up struct {
	Origin      string   `json:"origin"`       // base URL of the origin's API
	OriginTLS   string   `json:"origin_tls"`   // the same over TLS
	OriginAdmin string   `json:"origin_admin"` // base URL of its admin listener
	NATS        string   `json:"nats"`         // "": edges follow the log at the origin
	CA          string   `json:"ca"`           // path of the certificate that verifies all that speaks TLS
	Edges       []Edge   `json:"edges"`
	OriginPID   int      `json:"origin_pid"`
	AdminToken  string   `json:"admin_token"`
	PushToken   string   `json:"push_token"`
	ScannerKey  string   `json:"scanner_key"`
	ScannerKeys []string `json:"scanner_keys"` // all that there are for a load, the one above first
	CodeKeys    string   `json:"code_keys"`    // path of a file, mode 0600, with the code keys of all issuers
	Issuers     []string `json:"issuers"`
	Subjects    int      `json:"subjects"` // demo subjects over all issuers
	Sample      []Sample `json:"sample"`
}

// Edge is one edge of the fleet.
type Edge struct {
	Name string `json:"name"`
	Scan string `json:"scan"` // base URL of the scan listener

	ScanTLS string `json:"scan_tls"` // the same over TLS

	Admin string `json:"admin"` // base URL of the admin listener
	PID   int    `json:"pid"`
}

// Sample is a demo subject and the status that a scan of its code answers.
type Sample struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
	Code    string `json:"code"`
	Status  string `json:"status"`
}

// LoadUp reads the file that a running fleet left at path. When there is none, the error says how to start a fleet.
func LoadUp(path string) (*Up, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no fleet is up at %s; start one with: scanedge up --dir %s", path, filepath.Dir(path))
	}
	if err != nil {
		return nil, fmt.Errorf("reading what runs where: %w", err)
	}
	up := new(Up)
	if err := json.Unmarshal(b, up); err != nil {
		return nil, fmt.Errorf("%s is not what scanedge up writes (%w); start the fleet anew with: scanedge up --dir %s",
			path, err, filepath.Dir(path))
	}
	return up, nil
}

// Save replaces the file at path as a whole: a reader sees the old one or the new one. It holds keys, so mode 0600.
func (u *Up) Save(path string) error {
	b, err := json.MarshalIndent(u, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(path, append(b, '\n'))
}

// replaceFile replaces the file at path as a whole, mode 0600.
func replaceFile(path string, b []byte) error {
	if err := durable.WriteFile(path, b); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
