/* Numbers of configuration: whole numbers, sizes and durations, to and from text. All are held as 64-bit unsigned
 * values here; the width of the member is known to its row alone. */
#include "common/conf_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct unit {
    const char *name;
    uint64_t factor;
};
/* Largest first: parts of a duration must come in this order. */
static const struct unit TIME_UNITS[] = {
    { "h", 3600 * USEC_PER_SEC }, { "m", 60 * USEC_PER_SEC }, { "s", USEC_PER_SEC }, { "ms", USEC_PER_MSEC }
};
static const struct unit SIZE_UNITS[] = { { "GiB", 1U << 30 }, { "MiB", 1U << 20 }, { "KiB", 1U << 10 } };

/* Takes digits off the head of *text; false where there are none or the number is too large. */
static bool take_digits(struct span *text, uint64_t *out)
{
    uint64_t v = 0;
    size_t n = 0;
    for (; n < text->n && span_is_digit(text->p[n]); n++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(text->p[n] - '0'), &v))
            return false;
    }
    *text = span_skip(*text, n);
    *out = v;
    return n > 0;
}

static struct span take_letters(struct span *text)
{
    size_t n = 0;
    while (n < text->n && !span_is_digit(text->p[n]))
        n++;
    struct span word = span_head(*text, n);
    *text = span_skip(*text, n);
    return word;
}

static size_t find_unit(const struct unit *unit, size_t count, size_t from, struct span name)
{
    while (from < count && !span_eq(span_str(unit[from].name), name))
        from++;
    return from;
}

bool conf_duration_parse(usec_t *out, struct span text)
{
    uint64_t sum = 0;
    size_t next = 0;
    do {
        uint64_t v;
        if (!take_digits(&text, &v))
            return false;
        size_t unit = find_unit(TIME_UNITS, ARRAY_LEN(TIME_UNITS), next, take_letters(&text));
        if (unit == ARRAY_LEN(TIME_UNITS))
            return false;
        if (__builtin_mul_overflow(v, TIME_UNITS[unit].factor, &v) || __builtin_add_overflow(sum, v, &sum))
            return false;
        next = unit + 1;
    } while (text.n > 0);
    *out = (usec_t)sum;
    return sum <= INT64_MAX;
}

bool conf_size_parse(uint64_t *out, struct span text)
{
    uint64_t v;
    if (!take_digits(&text, &v))
        return false;
    if (text.n > 0) {
        size_t unit = find_unit(SIZE_UNITS, ARRAY_LEN(SIZE_UNITS), 0, text);
        if (unit == ARRAY_LEN(SIZE_UNITS) || __builtin_mul_overflow(v, SIZE_UNITS[unit].factor, &v))
            return false;
    }
    *out = v;
    return true;
}

bool conf_number_parse(const struct conf_key *key, struct span text, uint64_t *out)
{
    usec_t us;
    if (key->type == CONF_SIZE)
        return conf_size_parse(out, text);
    if (key->type == CONF_DURATION) {
        if (!conf_duration_parse(&us, text))
            return false;
        *out = (uint64_t)us;
        return true;
    }
    if (key->zero != NULL && span_eq(text, span_str(key->zero))) {
        *out = 0;
        return true;
    }
    return take_digits(&text, out) && text.n == 0;
}

static void print_duration(uint64_t us, char out[32])
{
    uint64_t ms = us / USEC_PER_MSEC, s = ms / 1000;
    size_t n = 0;
    if (ms % 1000 != 0 || us == 0) {
        snprintf(out, 32, us == 0 ? "%" PRIu64 "s" : "%" PRIu64 "ms", ms);
        return;
    }
    if (s >= 3600)
        n += (size_t)snprintf(out + n, 32 - n, "%" PRIu64 "h", s / 3600);
    if (s / 60 % 60 != 0)
        n += (size_t)snprintf(out + n, 32 - n, "%" PRIu64 "m", s / 60 % 60);
    if (s % 60 != 0)
        snprintf(out + n, 32 - n, "%" PRIu64 "s", s % 60);
}

static bool print_size(uint64_t v, char out[32])
{
    for (size_t i = 0; i < ARRAY_LEN(SIZE_UNITS) && v != 0; i++) {
        if (v % SIZE_UNITS[i].factor == 0) {
            snprintf(out, 32, "%" PRIu64 "%s", v / SIZE_UNITS[i].factor, SIZE_UNITS[i].name);
            return true;
        }
    }
    snprintf(out, 32, "%" PRIu64, v);
    return false;
}

bool conf_number_print(const struct conf_key *key, uint64_t v, char out[32])
{
    if (key->type == CONF_DURATION) {
        print_duration(v, out);
        return true;
    }
    if (key->type == CONF_SIZE)
        return print_size(v, out);
    if (key->zero != NULL && v == 0) {
        snprintf(out, 32, "%s", key->zero);
        return true;
    }
    snprintf(out, 32, "%" PRIu64, v);
    return false;
}

void conf_number_wanted(const struct conf_key *key, struct buf *out)
{
    char min[32], max[32];
    struct conf_key plain = *key;
    plain.zero = NULL;
    conf_number_print(&plain, key->min, min);
    conf_number_print(&plain, key->max, max);
    if (key->zero != NULL)
        buf_printf(out, "\"%s\" or ", key->zero);
    if (key->zero_too)
        buf_printf(out, "0 or ");
    if (key->type == CONF_DURATION)
        buf_printf(out, "a duration from %s to %s (such as \"500ms\", \"30s\", \"5m\", \"1h\")", min, max);
    else if (key->type == CONF_SIZE && key->max == INT64_MAX)
        buf_printf(out, "a size%s%s%s (a number of bytes, or such as \"64KiB\", \"25MiB\")", key->min > 0 ? " of " : "",
                   key->min > 0 ? min : "", key->min > 0 ? " or more" : "");
    else if (key->type == CONF_SIZE)
        buf_printf(out, "a size from %s to %s (a number of bytes, or such as \"64KiB\", \"25MiB\")", min, max);
    else
        buf_printf(out, "a whole number from %s to %s", min, max);
}

bool conf_number_in_range(const struct conf_key *key, uint64_t v)
{
    return (v >= key->min && v <= key->max) || (v == 0 && key->zero_too);
}

uint64_t conf_number_get(const struct conf_key *key, const void *from)
{
    const void *member = conf_member_const(from, key);
    uint64_t v64;
    uint32_t v32;
    if (key->width == sizeof v64) {
        memcpy(&v64, member, sizeof v64);
        return v64;
    }
    if (key->width != sizeof v32)
        abort();
    memcpy(&v32, member, sizeof v32);
    return v32;
}

void conf_number_set(const struct conf_key *key, void *to, uint64_t v)
{
    void *member = conf_member(to, key);
    uint32_t v32 = (uint32_t)v;
    if (key->width == sizeof v)
        memcpy(member, &v, sizeof v);
    else if (key->width == sizeof v32 && v <= UINT32_MAX)
        memcpy(member, &v32, sizeof v32);
    else
        abort();
}
