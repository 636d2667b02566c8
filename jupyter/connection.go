package jupyter

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
)

// A connection is what the front end writes into the connection file
// (https://jupyter-client.readthedocs.io/en/stable/kernels.html#connection-files).
type connection struct {
	Transport       string `json:"transport"`
	IP              string `json:"ip"`
	ShellPort       int    `json:"shell_port"`
	IOPubPort       int    `json:"iopub_port"`
	StdinPort       int    `json:"stdin_port"`
	ControlPort     int    `json:"control_port"`
	HBPort          int    `json:"hb_port"`
	SignatureScheme string `json:"signature_scheme"`
	Key             string `json:"key"`
	CurvePublicKey  string `json:"curve_publickey"`
}

func readConnection(path string) (connection, error) {
	var c connection
	data, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("jupyter: connection file: %w", err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("jupyter: connection file %s: %w", path, err)
	}
	if err := c.check(); err != nil {
		return c, fmt.Errorf("jupyter: connection file %s: %w", path, err)
	}
	return c, nil
}

func (c *connection) check() error {
	if c.Transport == "" {
		c.Transport = "tcp"
	}
	if c.Transport != "tcp" && c.Transport != "ipc" {
		return fmt.Errorf("transport %q, only tcp and ipc are supported", c.Transport)
	}
	if c.IP == "" {
		return errors.New("no ip")
	}
	if c.CurvePublicKey != "" {
		return errors.New("curve_publickey is set, transport encryption is not supported")
	}
	if c.Key != "" && c.SignatureScheme != "" && c.SignatureScheme != "hmac-sha256" {
		return fmt.Errorf("signature_scheme %q, only hmac-sha256 is supported", c.SignatureScheme)
	}
	taken := make(map[int]string)
	for _, p := range []struct {
		name string
		port int
	}{
		{"shell_port", c.ShellPort}, {"iopub_port", c.IOPubPort}, {"stdin_port", c.StdinPort},
		{"control_port", c.ControlPort}, {"hb_port", c.HBPort},
	} {
		if p.port < 1 || c.Transport == "tcp" && p.port > 65535 {
			return fmt.Errorf("%s is %d, not the number of a port", p.name, p.port)
		}
		if other, ok := taken[p.port]; ok {
			return fmt.Errorf("%s and %s are both %d", other, p.name, p.port)
		}
		taken[p.port] = p.name
	}
	return nil
}

// listen opens one of the ports. For ipc, ip is the first part of a path.
func (c *connection) listen(port int) (net.Listener, error) {
	network, addr := "tcp", net.JoinHostPort(c.IP, strconv.Itoa(port))
	switch {
	case c.Transport == "ipc":
		network, addr = "unix", c.IP+"-"+strconv.Itoa(port)
		most := 107 // sun_path without the final zero
		if runtime.GOOS == "darwin" {
			most = 103
		}
		if len(addr) > most {
			return nil, fmt.Errorf("jupyter: ipc path %q has %d bytes, longer than the %d that the system allows", addr, len(addr), most)
		}
	case c.IP == "*":
		addr = ":" + strconv.Itoa(port)
	}
	l, err := bind(network, addr)
	if err != nil {
		return nil, fmt.Errorf("jupyter: %w", err)
	}
	return l, nil
}

// bind listens on the network for one socket of the kernel. A path of ipc that
// a dead kernel left behind is taken over, as libzmq does it.
func bind(network, addr string) (net.Listener, error) {
	if network != "unix" {
		return net.Listen(network, addr)
	}
	if fi, err := os.Lstat(addr); err == nil && fi.Mode()&os.ModeSocket != 0 {
		os.Remove(addr)
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(addr, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
