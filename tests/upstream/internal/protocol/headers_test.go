package protocol

import (
	"net/http"
	"reflect"
	"testing"

	"k8s.io/client-go/transport"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestHeaders compares the headers with those of the real client, for every byte that a key may hold.
func TestHeaders(t *testing.T) {
	wanted := Impersonation{User: "panda", UID: "7", Groups: []string{"a", "", "a"}, Extra: map[string][]string{}}
	for b := range 256 {
		if b < 'A' || b > 'Z' { // else two keys would meet
			wanted.Extra["acme.com/"+string([]byte{byte(b)})+"x"] = []string{"one", "", "two"}
		}
	}
	wanted.Extra["Upper"] = []string{"one"}
	wanted.Extra[""] = []string{"one"}
	wanted.Extra["none"] = nil

	var sent http.Header
	client := transport.NewImpersonatingRoundTripper(transport.ImpersonationConfig{
		UserName: wanted.User, UID: wanted.UID, Groups: wanted.Groups, Extra: wanted.Extra,
	}, roundTripper(func(r *http.Request) (*http.Response, error) {
		sent = r.Header
		return nil, nil
	}))
	request, err := http.NewRequest(http.MethodGet, "https://localhost/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.RoundTrip(request); err != nil {
		t.Fatal(err)
	}
	if got := wanted.Headers(); !reflect.DeepEqual(got, sent) {
		t.Errorf("got  %q\nwant %q", got, sent)
	}
}
