/* Encodings that mail needs: base64, xtext, UTF-8, RFC 2047 encoded words. */
#ifndef COMMON_CODEC_H
#define COMMON_CODEC_H

#include "common/buf.h"

/* RFC 4648 section 4, strict: no white space, right padding. Returns false and appends nothing if it is not base64. */
bool codec_base64_decode(struct buf *out, struct span in) MUST_CHECK;
/* Whether it can be decoded; nothing is copied. */
bool codec_base64_valid(struct span in);
void codec_base64_encode(struct buf *out, struct span in);

/* xtext (RFC 3461 section 4): '+' HEX HEX, upper or lower case hexadecimal digits. False if malformed. */
bool codec_xtext_valid(struct span in);
bool codec_xtext_decode(struct buf *out, struct span in) MUST_CHECK;
void codec_xtext_encode(struct buf *out, struct span in);

/* Well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF). */
bool codec_utf8_valid(struct span in);
/* Decodes one character at p (n > 0); returns its length, or 0 if the bytes there are not UTF-8. */
size_t codec_utf8_next(const char *p, size_t n, uint32_t *cp);
/* Like codec_utf8_next, but never 0: where the bytes are not UTF-8, *cp is CODEC_UTF8_BAD and the length is that of the
 * maximal ill-formed subsequence (Unicode 3.9, "U+FFFD Substitution of Maximal Subparts"), which one U+FFFD replaces.
 */
#define CODEC_UTF8_BAD UINT32_MAX
size_t codec_utf8_step(const char *p, size_t n, uint32_t *cp);
/* The longest prefix of `in` that has at most max bytes and doesn't cut a character. */
struct span codec_utf8_cut(struct span in, size_t max);

/* A header field's value as text: unfolded, encoded words (RFC 2047; UTF-8, US-ASCII, ISO-8859-1, ISO-8859-15,
 * windows-1252; others stay as they are) decoded, white space between two encoded words dropped, ends trimmed. */
void codec_header_decode(struct buf *out, struct span value);

#endif
