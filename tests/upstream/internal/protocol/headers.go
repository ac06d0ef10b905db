package protocol

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	authenticationv1 "k8s.io/api/authentication/v1"
)

// Headers are the headers that client-go's impersonating round tripper would send. That one cannot be used itself: it
// walks the extras in random order, so that the values of keys which differ in case alone would meet in random order.
func (i *Impersonation) Headers() http.Header {
	headers := http.Header{}
	if i.User != "" {
		headers.Set(authenticationv1.ImpersonateUserHeader, i.User)
	}
	if i.UID != "" {
		headers.Set(authenticationv1.ImpersonateUIDHeader, i.UID)
	}
	for _, group := range i.Groups {
		headers.Add(authenticationv1.ImpersonateGroupHeader, group)
	}
	for _, key := range i.SortedKeys() {
		for _, value := range i.Extra[key] {
			headers.Add(authenticationv1.ImpersonateUserExtraHeaderPrefix+EscapeKey(key), value)
		}
	}
	return headers
}

// SortedKeys are the keys of the extras in the order that they have as the server sees them.
func (i *Impersonation) SortedKeys() []string {
	return slices.SortedFunc(maps.Keys(i.Extra), func(a, b string) int {
		return cmp.Or(cmp.Compare(ASCIILower(a), ASCIILower(b)), cmp.Compare(a, b))
	})
}

// ASCIILower is what happens to a key: other letters travel escaped while the header's name is lower-cased.
func ASCIILower(key string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, key)
}

// EscapeKey makes the rest of a header's name of the key of an extra. It is the private function headerKeyEscape of
// k8s.io/client-go/transport.
func EscapeKey(key string) string {
	var escaped strings.Builder
	for i := range len(key) {
		if b := key[i]; b == '%' || !httpguts.IsTokenRune(rune(b)) {
			fmt.Fprintf(&escaped, "%%%02X", b)
		} else {
			escaped.WriteByte(b)
		}
	}
	return escaped.String()
}
