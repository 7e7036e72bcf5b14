/* The reader on a table of its own: one key of every type. What is read, what is refused and with which words, on
 * which line; and that the printed form reads to the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/conf.h"

#include <stdio.h>
#include <stdlib.h>

enum colour { RED, GREEN, BLUE };
struct inner {
    unsigned depth;
};
struct item {
    char *label;
    unsigned weight;
};
struct things {
    bool flag;
    unsigned count, threads;
    uint64_t size, memory;
    usec_t wait;
    enum colour colour;
    char *word;
    struct cidr_list nets;
    struct inner inner;
    struct item *item;
    size_t items;
    unsigned direct;
    unsigned base_weight;
};

static const struct conf_word COLOURS[] = {
    { "red", RED, false }, { "green", GREEN, false }, { "blue", BLUE, true }, { NULL, 0, false }
};
static const struct conf_word OFTEN[] = { { "never", 0, true }, { "always", 0, true }, { NULL, 0, false } };

static const struct conf_key INNER_KEYS[] = {
    { .name = "depth", .type = CONF_UINT, CONF_MEMBER(struct inner, depth), .def = "3", .min = 1, .max = 9 },
};
static const struct conf_table INNER = CONF_TABLE(INNER_KEYS, struct inner);

static const struct conf_key ITEM_KEYS[] = {
    { .name = "label", .type = CONF_STRING, CONF_MEMBER(struct item, label), .max = 8, .required = true },
    { .name = "weight", .type = CONF_UINT, CONF_MEMBER(struct item, weight), .def = "1", .max = 100 },
};
static const struct conf_table ITEM = CONF_TABLE(ITEM_KEYS, struct item);
static void prepare_item(void *element, const void *parent)
{
    conf_defaults(&ITEM, element);
    ((struct item *)element)->weight = ((const struct things *)parent)->base_weight;
}

static const struct conf_key DIRECT_KEYS[] = {
    { .name = "direct", .type = CONF_UINT, CONF_MEMBER(struct things, direct), .def = "7", .max = 10 },
};
static const struct conf_table DIRECT = CONF_TABLE(DIRECT_KEYS, struct things);

static const struct conf_key KEYS[] = {
    { .name = "flag", .type = CONF_BOOL, CONF_MEMBER(struct things, flag), .def = "true" },
    { .name = "count", .type = CONF_UINT, CONF_MEMBER(struct things, count), .def = "5", .min = 1, .max = 10 },
    { .name = "threads",
      .type = CONF_UINT,
      CONF_MEMBER(struct things, threads),
      .def = "auto",
      .zero = "auto",
      .min = 1,
      .max = 8 },
    { .name = "size", .type = CONF_SIZE, CONF_MEMBER(struct things, size), .def = "2KiB", .min = 512, .max = 65536 },
    { .name = "memory",
      .type = CONF_SIZE,
      CONF_MEMBER(struct things, memory),
      .def = "0",
      .min = 1024,
      .max = INT64_MAX,
      .zero_too = true },
    { .name = "wait",
      .type = CONF_DURATION,
      CONF_MEMBER(struct things, wait),
      .def = "4m30s",
      .min = USEC_PER_MSEC,
      .max = 3600 * USEC_PER_SEC },
    { .name = "colour", .type = CONF_WORD, CONF_MEMBER(struct things, colour), .def = "green", .words = COLOURS },
    { .name = "word",
      .type = CONF_STRING,
      CONF_MEMBER(struct things, word),
      .def = "w",
      .min = 1,
      .max = 8,
      .printable = true },
    { .name = "nets",
      .type = CONF_LIST,
      CONF_MEMBER(struct things, nets),
      .text = &conf_cidr_list,
      .def = "::1 10.0.0.0/8 unix",
      .max = 4 },
    { .name = "inner", .type = CONF_OBJECT, CONF_MEMBER(struct things, inner), .table = &INNER },
    { .name = "flat", .type = CONF_INLINE, .table = &DIRECT },
    { .name = "base_weight", .type = CONF_UINT, CONF_MEMBER(struct things, base_weight), .def = "2", .max = 50 },
    { .name = "items",
      .type = CONF_OBJECTS,
      CONF_MEMBER(struct things, item),
      .count_offset = offsetof(struct things, items),
      .table = &ITEM,
      .min = 1,
      .max = 3,
      .prepare = prepare_item },
    { .name = "later_word", .type = CONF_UNBUILT, .def = "\"never\"", .words = OFTEN },
    { .name = "later_list", .type = CONF_UNBUILT, .def = "[\"a\"]" },
    { .name = "later_file", .type = CONF_UNBUILT },
};
static const struct conf_table TABLE = CONF_TABLE(KEYS, struct things);

#define KNOWN "flag, count, threads, size, memory, wait, colour, word, nets, inner, direct, base_weight, items"
#define NETS_1 "f:1: nets[0]: 1 is not an address or network (a string in double quotes)"

struct told {
    char text[8192];
    unsigned faults;
};

static void tell(void *arg, const char *text)
{
    struct told *t = arg;
    size_t n = strlen(t->text);
    snprintf(t->text + n, sizeof t->text - n, "%s%s", n > 0 ? "\n" : "", text);
    t->faults++;
}

/* Reads a text onto the defaults; the caller clears *to. */
static void read_text(struct things *to, struct span text, struct told *told)
{
    *told = (struct told){ .faults = 0 };
    memset(to, 0, sizeof *to);
    conf_defaults(&TABLE, to);
    struct conf *c = conf_open("f", text);
    conf_read(c, &TABLE, to);
    size_t faults = conf_faults(c);
    assert_int_equal(conf_close(&c, tell, NULL, told), faults);
    assert_null(c);
}

static void expect_faults(const char *text, const char *faults)
{
    struct things t;
    struct told told;
    read_text(&t, span_str(text), &told);
    if (strcmp(told.text, faults) != 0)
        print_error("text: %s\n", text);
    assert_string_equal(told.text, faults);
    conf_clear(&TABLE, &t);
}

static void test_defaults(void **state)
{
    (void)state;
    struct things t;
    struct told told;
    read_text(&t, SPAN_LIT("{}"), &told);
    assert_string_equal(told.text, "");
    assert_true(t.flag);
    assert_int_equal(t.count, 5);
    assert_int_equal(t.threads, 0);
    assert_int_equal(t.size, 2048);
    assert_int_equal(t.memory, 0);
    assert_int_equal(t.wait, 270 * USEC_PER_SEC);
    assert_int_equal(t.colour, GREEN);
    assert_string_equal(t.word, "w");
    assert_int_equal(t.nets.count, 3);
    assert_int_equal(t.nets.list[1].bits, 8);
    assert_int_equal(t.inner.depth, 3);
    assert_int_equal(t.direct, 7);
    assert_null(t.item);
    assert_int_equal(t.items, 0);
    conf_clear(&TABLE, &t);
    assert_null(t.word);
    assert_null(t.nets.list);
}

static const char EVERYTHING[] =
    "// a comment\n{ \"flag\": false, /* another\n \"flag\": 1 */ \"count\": 10, \"threads\": 8, \"size\": 512,\n"
    "\"memory\": \"3GiB\", \"wait\": \"1h\", \"colour\": \"red\", \"word\": \"a \\\"b\\\"/\", \"nets\": "
    "[\"192.0.2.1\"],\n\"inner\": { \"depth\": 9 }, \"direct\": 0, \"base_weight\": 40,\n"
    "\"items\": [ { \"label\": \"\" }, { \"weight\": 100, \"label\": \"\\u00e4\" } ],\n"
    "\"later_word\": \"never\", \"later_list\": [\"a\"] } // end";

static void check_everything(const struct things *t)
{
    assert_false(t->flag);
    assert_int_equal(t->count, 10);
    assert_int_equal(t->threads, 8);
    assert_int_equal(t->size, 512);
    assert_true(t->memory == UINT64_C(3) << 30);
    assert_int_equal(t->wait, 3600 * USEC_PER_SEC);
    assert_int_equal(t->colour, RED);
    assert_string_equal(t->word, "a \"b\"/");
    assert_int_equal(t->nets.count, 1);
    assert_int_equal(t->nets.list[0].bits, 32);
    assert_int_equal(t->inner.depth, 9);
    assert_int_equal(t->direct, 0);
    assert_int_equal(t->items, 2);
    assert_string_equal(t->item[0].label, "");
    assert_int_equal(t->item[0].weight, 40);
    assert_string_equal(t->item[1].label, "\xc3\xa4");
    assert_int_equal(t->item[1].weight, 100);
}

static void test_reads_all_types(void **state)
{
    (void)state;
    struct things t;
    struct told told;
    read_text(&t, SPAN_LIT(EVERYTHING), &told);
    assert_string_equal(told.text, "");
    check_everything(&t);
    conf_clear(&TABLE, &t);
}

static void test_print_reads_back(void **state)
{
    (void)state;
    struct things t, again;
    struct told told;
    read_text(&t, SPAN_LIT(EVERYTHING), &told);
    char *printed = conf_print(&TABLE, &t);
    read_text(&again, span_str(printed), &told);
    assert_string_equal(told.text, "");
    check_everything(&again);
    char *printed_again = conf_print(&TABLE, &again);
    assert_string_equal(printed, printed_again);
    free(printed);
    free(printed_again);
    conf_clear(&TABLE, &t);
    conf_clear(&TABLE, &again);
}

/* Cut anywhere, a text is refused with a fault, but where only the comment at its end is lost. */
static void test_cut_everywhere(void **state)
{
    (void)state;
    size_t whole = strlen(EVERYTHING) - strlen(" // end");
    for (size_t n = 0; n < sizeof EVERYTHING; n++) {
        struct things t;
        struct told told;
        char *cut = conf_dup(span_of(EVERYTHING, n));
        read_text(&t, span_of(cut, n), &told);
        bool lone_slash = n == whole + 2;
        assert_int_equal(told.faults, n < whole || lone_slash ? 1 : 0);
        conf_clear(&TABLE, &t);
        free(cut);
    }
}

static void test_bad_values(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *fault;
    } CASES[] = {
        { "flag", "\"yes\"", "\"yes\" is not true or false" },
        { "flag", "\"True\"", "\"True\" is not true or false (without quotes)" },
        { "flag", "null", "null is not true or false" },
        { "flag", "0", "0 is not true or false" },
        { "count", "0", "0 is not a whole number from 1 to 10" },
        { "count", "11", "11 is not a whole number from 1 to 10" },
        { "count", "-1", "-1 is not a whole number from 1 to 10" },
        { "count", "1.5", "1.5 is not a whole number from 1 to 10" },
        { "count", "\"5\"", "\"5\" is not a whole number from 1 to 10 (without quotes)" },
        { "count", "99999999999999999999999", "18446744073709551615 is not a whole number from 1 to 10" },
        { "count", "4294967301", "4294967301 is not a whole number from 1 to 10" },
        { "count", "[1]", "a list is not a whole number from 1 to 10" },
        { "threads", "0", "0 is not \"auto\" or a whole number from 1 to 8" },
        { "threads", "\"all\"", "\"all\" is not \"auto\" or a whole number from 1 to 8" },
        { "size", "511", "511 is not a size from 512 to 64KiB (a number of bytes, or such as \"64KiB\", \"25MiB\")" },
        { "size", "\"1000\"",
          "\"1000\" is not a size from 512 to 64KiB (a number of bytes, or such as \"64KiB\", \"25MiB\")" },
        { "size", "\"2KB\"",
          "\"2KB\" is not a size from 512 to 64KiB (a number of bytes, or such as \"64KiB\", \"25MiB\")" },
        { "size", "\"18014398509481985KiB\"",
          "\"18014398509481985KiB\" is not a size from 512 to 64KiB (a number of bytes, or such as \"64KiB\", "
          "\"25MiB\")" },
        { "memory", "1", "1 is not 0 or a size of 1KiB or more (a number of bytes, or such as \"64KiB\", \"25MiB\")" },
        { "wait", "30", "30 is not a duration from 1ms to 1h (such as \"500ms\", \"30s\", \"5m\", \"1h\")" },
        { "wait", "\"30\"", "\"30\" is not a duration from 1ms to 1h (such as \"500ms\", \"30s\", \"5m\", \"1h\")" },
        { "wait", "\"0s\"", "\"0s\" is not a duration from 1ms to 1h (such as \"500ms\", \"30s\", \"5m\", \"1h\")" },
        { "wait", "\"1h1ms\"",
          "\"1h1ms\" is not a duration from 1ms to 1h (such as \"500ms\", \"30s\", \"5m\", \"1h\")" },
        { "colour", "\"on\"", "\"on\" is not one of red, green, blue" },
        { "colour", "true", "true is not one of red, green, blue (a word in double quotes)" },
        { "colour", "\"Red\"", "\"Red\" is not one of red, green, blue; did you mean \"red\"?" },
        { "colour", "\"gren\"", "\"gren\" is not one of red, green, blue; did you mean \"green\"?" },
        { "colour", "\"rd\"", "\"rd\" is not one of red, green, blue" },
        { "colour", "\"blue\"", "\"blue\" is not built into this version" },
        { "word", "5", "5 is not a string in double quotes" },
        { "word", "\"\"", "must not be empty" },
        { "word", "\"123456789\"", "has 9 bytes, not 1 to 8" },
        { "word", "\"a\\nb\"", "\"a?b\" is not printable ASCII" },
        { "word", "\"\xc3\xa4\"", "\"\xc3\xa4\" is not printable ASCII" },
        { "nets", "\"::1\"", "\"::1\" is not a list: put it in brackets, [\"::1\"]" },
        { "nets", "5", "5 is not a list of strings: [\"...\"]" },
        { "nets", "[1,2,3,4,5]", "has 5 entries, at most 4 are possible" },
        { "inner", "[]", "a list is not an object: {...} with keys of depth" },
        { "items", "[]", "must not be empty" },
        { "items", "{}", "an object is not a list: put it in brackets, [{...}]" },
        { "later_word", "\"always\"", "\"always\" is not built into this version" },
        { "later_word", "\"often\"", "\"often\" is not one of never, always" },
        { "later_list", "[]", "this key is not built into this version" },
        { "later_file", "\"x\"", "this key is not built into this version" },
        { "later_file", "null", "this key is not built into this version" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        char text[256], fault[256];
        snprintf(text, sizeof text, "{\n\n\"%s\":\n%s }", CASES[i].key, CASES[i].value);
        snprintf(fault, sizeof fault, "f:4: %s: %s", CASES[i].key, CASES[i].fault);
        expect_faults(text, fault);
    }
}

static void test_places(void **state)
{
    (void)state;
    static const struct {
        const char *text, *faults;
    } CASES[] = {
        { "{\"nets\": [\"::1\",\n\n\"10.0.0.1/8\", 3]}",
          "f:3: nets[1]: \"10.0.0.1/8\" is not an address or network: bits are set behind the prefix length: a network "
          "is 10.0.0.0/8, one address 10.0.0.1\n"
          "f:3: nets[2]: 3 is not an address or network (a string in double quotes)" },
        { "{\"inner\": {\n\"depth\": 0}}", "f:2: inner.depth: 0 is not a whole number from 1 to 9" },
        { "{\"items\": [{\"label\":\"x\"},\n{\"weight\": 101}, 5]}",
          "f:2: items[1]: \"label\" is missing\n"
          "f:2: items[1].weight: 101 is not a whole number from 0 to 100\n"
          "f:2: items[2]: 5 is not an object: {...} with keys of label, weight" },
        /* all faults, in the order of the lines, not of the table */
        { "{\"direct\": 99,\n\"count\": 99,\n\"flag\": 99}", "f:1: direct: 99 is not a whole number from 0 to 10\n"
                                                             "f:2: count: 99 is not a whole number from 1 to 10\n"
                                                             "f:3: flag: 99 is not true or false" },
        { "{\"count\": 1,\n\"inner\": {\"depth\": 1, \"depth\": 2},\n\"count\": 2,\n\"count\": 3}",
          "f:2: inner.depth: this key is given twice, before on line 2\n"
          "f:3: count: this key is given twice, before on line 1\n"
          "f:4: count: this key is given twice, before on line 3" },
        { "{\"count\": 1, \"c\\u006funt\": 2}", "f:1: count: this key is given twice, before on line 1" },
        { "{\"xyz\": [{\"a\": 1,\n\"a\": 2}]}",
          "f:1: xyz: unknown key; known here: " KNOWN "\nf:2: xyz[0].a: this key is given twice, before on line 1" },
        { "{\"cuont\": 1}", "f:1: cuont: unknown key; did you mean \"count\"?" },
        { "{\"Flag\": true}", "f:1: Flag: unknown key; did you mean \"flag\"?" },
        { "{\"base-weihgt\": 1}", "f:1: base-weihgt: unknown key; did you mean \"base_weight\"?" },
        { "{\"direkt\": 1}", "f:1: direkt: unknown key; did you mean \"direct\"?" },
        { "{\"COUNT\": 1}", "f:1: COUNT: unknown key; did you mean \"count\"?" },
        { "{\"depth\": 1}", "f:1: depth: unknown key; did you mean \"inner.depth\"?" },
        { "{\"inner\": {\"label\": 1, \"Threads\": 1}}",
          "f:1: inner.label: unknown key; did you mean \"items[].label\"?\n"
          "f:1: inner.Threads: unknown key; did you mean \"threads\"?" },
        { "{\"base\": 1}", "f:1: base: unknown key; did you mean \"base_weight\"?" },
        { "{\"wrong\": {\"count\": 1, \"zz\": 2}}", "f:1: wrong: unknown key; known here: " KNOWN "\n"
                                                    "f:1: wrong.count: unknown key; did you mean \"count\"?" },
        { "{\"inner\": {\"depth\": 1, \"xx\": 1,\n\"yy\": 1}}",
          "f:1: inner.xx: unknown key; known here: depth\nf:2: inner.yy: unknown key" },
        { "{\"word\": {\"threads\": 1}}", "f:1: word: an object is not a string in double quotes\n"
                                          "f:1: word.threads: unknown key; did you mean \"threads\"?" },
        { "{\"flat\": 1}", "f:1: flat: unknown key; did you mean \"flag\"?" },
        { "{\"inner\": {\"\": 1}}", "f:1: inner.: unknown key; known here: depth" },
        { "{\"a\\nb\\u001b[2J\": 1}", "f:1: a?b?[2J: unknown key; known here: " KNOWN },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        expect_faults(CASES[i].text, CASES[i].faults);
}

static void test_syntax(void **state)
{
    (void)state;
    static const struct {
        const char *text, *fault;
    } CASES[] = {
        { "", "f:1: the file is empty: {} is the least, and means the defaults" },
        { "// nothing\n", "f:2: the file is empty: {} is the least, and means the defaults" },
        { "[]", "f:1: expected an object: {, found [: the file is JSON" },
        { "{\n}\n\nx", "f:4: expected the end of the file, found x" },
        { "{}{}", "f:1: expected the end of the file, found {" },
        { "{\"count\": 1,\n}", "f:1: the comma before \"}\" is one too many" },
        { "{\"count\": 1\n\"flag\": true}", "f:1: a comma is missing at the end of this line, or before what follows" },
        { "{\"count\" 1}", "f:1: expected \":\", found 1" },
        { "{count: 1}", "f:1: expected a key in double quotes, found count" },
        { "# x\n{}", "f:1: expected an object: {, found #: comments begin with // or /*" },
        { "count: 1", "f:1: expected an object: {, found count: the file is JSON" },
        { "\xff\xfe{", "f:1: the file is UTF-16: save it as UTF-8" },
        { "{\"count\": 5,\n\"word: \"x\"}", "f:2: expected \":\", found x: a double quote may be missing before it" },
        { "{\"count\": 'x'}", "f:1: expected a value, found 'x': keys and strings stand in double quotes" },
        { "{\"flag\": true,\n\"inner\": {\n\"depth\": 3\n",
          "f:4: found the end of the file: the \"{\" of line 2 has no \"}\"" },
        { "{\"flag\": true,", "f:1: found the end of the file: the \"{\" of line 1 has no \"}\"" },
        /* what is wrong with commas hides nothing else */
        { "{\n\"flag\": 1,\n\"inner\": {\"depth\": 0,},\n\"nets\": [\"x\" /* c */ \"::1\", ]\n\"count\": 99\n}",
          "f:2: flag: 1 is not true or false\n"
          "f:3: the comma before \"}\" is one too many\n"
          "f:3: inner.depth: 0 is not a whole number from 1 to 9\n"
          "f:4: a comma is missing at the end of this line, or before what follows\n"
          "f:4: the comma before \"]\" is one too many\n"
          "f:4: nets[0]: \"x\" is not an address or network: neither an IP address nor a network such as 10.0.0.0/8\n"
          "f:5: count: 99 is not a whole number from 1 to 10" },
        { "{\"items\": [{\"label\": \"a\"}\n{\"label\": 1}\n] }",
          "f:1: a comma is missing at the end of this line, or before what follows\n"
          "f:2: items[1].label: 1 is not a string in double quotes" },
        { "{'count': 1}",
          "f:1: expected a key in double quotes, found 'count': keys and strings stand in double quotes" },
        { "{\"nets\": [1,]}", "f:1: the comma before \"]\" is one too many\n" NETS_1 },
        { "{\"nets\": [1", "f:1: found the end of the file: the \"[\" of line 1 has no \"]\"" },
        { "{\"count\": 01}", "f:1: expected a number, found 01" },
        { "{\"count\": +1}",
          "f:1: expected a value, found +1: a string stands in double quotes; else true, false or a number" },
        { "{\"count\": 1.}", "f:1: expected a number, found 1." },
        { "{\"count\": 1e}", "f:1: expected a number, found 1e" },
        { "{\"count\": 5m}", "f:1: expected a number, found 5m: a number with a unit stands in double quotes" },
        { "{\"count\": -}", "f:1: expected a number, found -" },
        { "{\"count\": NaN}",
          "f:1: expected a value, found NaN: a string stands in double quotes; else true, false or a number" },
        { "{\"flag\": True}",
          "f:1: expected a value, found True: a string stands in double quotes; else true, false or a number" },
        { "{\"flag\": truely}",
          "f:1: expected a value, found truely: a string stands in double quotes; else true, false or a number" },
        { "{\"word\": \"ab\n\"}",
          "f:1: the string that begins here has no end: a double quote is missing on this line" },
        { "{\"word\": \"a\tb\"}", "f:1: a control character in a string must be written as an escape" },
        { "{\"word\": \"\\x41\"}", "f:1: a string has an unknown escape after \"\\\"" },
        { "{\"word\": \"\\u00g0\"}", "f:1: \"\\u\" needs four hexadecimal digits" },
        { "{\"word\": \"a\\u0000\"}", "f:1: a string can't hold a NUL" },
        { "{\"word\": \"\xff\"}", "f:1: a string is not UTF-8" },
        { "{\"word\": \"\\", "f:1: a string has an unknown escape after \"\\\"" },
        { "{\n/* no end\n\n}", "f:2: the comment that begins here has no end" },
        { "{\n/*/}", "f:2: the comment that begins here has no end" },
        { "{ / }", "f:1: expected a comment to begin with // or /*, found /" },
        { "{ # }", "f:1: expected a key in double quotes, found #: comments begin with // or /*" },
        { "{\"x\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", "f:1: nested deeper than 16 levels" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        expect_faults(CASES[i].text, CASES[i].fault);
}

static void test_odd_bytes(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        const char *faults;
    } CASES[] = {
        { SPAN_LIT("\xef\xbb\xbf{\"count\": 3}"), "" },
        { SPAN_LIT("{\"count\":/**/3/***/}//"), "" },
        { SPAN_LIT("{\r\n\"count\": 11 }\r\n"), "f:2: count: 11 is not a whole number from 1 to 10" },
        { SPAN_LIT("{\"word\": \"http://x\"}"), "" },
        { SPAN_LIT("{}\0"), "f:1: expected the end of the file, found ?" },
        { SPAN_LIT("{\0}"), "f:1: expected a key in double quotes, found ?" },
        { SPAN_LIT("{\"word\": \"a\0b\"}"), "f:1: a control character in a string must be written as an escape" },
        { SPAN_LIT("{// \0 \xff\n}"), "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct things t;
        struct told told;
        read_text(&t, CASES[i].text, &told);
        assert_string_equal(told.text, CASES[i].faults);
        conf_clear(&TABLE, &t);
    }
}

static void test_large(void **state)
{
    (void)state;
    struct things t;
    struct told told;
    char *text = malloc(CONF_BYTES_MAX + 1);
    assert_non_null(text);
    memset(text, ' ', CONF_BYTES_MAX + 1);
    memcpy(text, "{}", 2);
    read_text(&t, span_of(text, CONF_BYTES_MAX), &told);
    assert_string_equal(told.text, "");
    conf_clear(&TABLE, &t);
    read_text(&t, span_of(text, CONF_BYTES_MAX + 1), &told);
    assert_string_equal(told.text, "f: is larger than 4 MiB");
    conf_clear(&TABLE, &t);
    free(text);
}

static void test_many_faults(void **state)
{
    (void)state;
    struct things t;
    struct told told;
    char text[4000] = "{";
    for (unsigned i = 0; i < 130; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s\"zzzz%u\":0", i > 0 ? "," : "", i);
    strcat(text, "}");
    read_text(&t, span_str(text), &told);
    assert_int_equal(told.faults, CONF_FAULTS_MAX + 1);
    assert_non_null(strstr(told.text, "zzzz99: unknown key\nand 30 faults more"));
    conf_clear(&TABLE, &t);
}

static void test_paths(void **state)
{
    (void)state;
    struct told told = { .faults = 0 }, warned = { .faults = 0 };
    struct conf *c = conf_open("f", SPAN_LIT("{\"a\": 1,\n\"b\": [{},\n{\"c\": 2}]}"));
    assert_true(conf_readable(c));
    assert_true(conf_has(c, "a"));
    assert_true(conf_has(c, "b[1].c"));
    assert_false(conf_has(c, "b[1].d"));
    assert_false(conf_has(c, "b[2]"));
    assert_false(conf_has(c, "a.c"));
    assert_false(conf_has(c, ""));
    conf_warn(c, "b[1].c", "w%d", 1);
    assert_int_equal(conf_faults(c), 0);
    conf_fault(c, "b[1].zz", "no \x1b[2J");
    conf_fault(c, "nowhere", "none");
    conf_fault(c, NULL, "-l: %s", "bad");
    conf_fault(c, "a", "late");
    assert_true(conf_faulty(c, "a") == false);
    assert_int_equal(conf_close(&c, tell, NULL, &told), 4);
    assert_string_equal(told.text, "f: nowhere: none\n-l: bad\nf:1: a: late\nf:3: b[1].zz: no ?[2J");

    c = conf_open(NULL, SPAN_LIT("{\"a\": 1}"));
    conf_warn(c, "a", "odd");
    assert_int_equal(conf_close(&c, tell, tell, &warned), 0);
    assert_string_equal(warned.text, "a: warning: odd");
}

static void test_faulty(void **state)
{
    (void)state;
    struct things t = { .count = 0 };
    struct told told = { .faults = 0 };
    struct conf *c = conf_open("f", SPAN_LIT("{\"count\": 0, \"direct\": 1}"));
    conf_defaults(&TABLE, &t);
    conf_read(c, &TABLE, &t);
    assert_true(conf_faulty(c, "count"));
    assert_false(conf_faulty(c, "direct"));
    assert_false(conf_faulty(c, "flag"));
    assert_int_equal(t.count, 5);
    conf_close(&c, tell, NULL, &told);
    conf_clear(&TABLE, &t);

    c = conf_open("f", SPAN_LIT("{"));
    assert_false(conf_readable(c));
    assert_false(conf_has(c, "count"));
    assert_int_equal(conf_close(&c, tell, NULL, &told), 1);
}

static void test_copy_is_deep(void **state)
{
    (void)state;
    static const struct conf_key SOME_KEYS[] = {
        { .name = "word", .type = CONF_STRING, CONF_MEMBER(struct things, word), .max = 8 },
        { .name = "nets", .type = CONF_LIST, CONF_MEMBER(struct things, nets), .text = &conf_cidr_list, .max = 9 },
        { .name = "wait", .type = CONF_DURATION, CONF_MEMBER(struct things, wait), .def = "1s" },
        { .name = "flag", .type = CONF_BOOL, CONF_MEMBER(struct things, flag), .def = "false" },
        { .name = "inner", .type = CONF_OBJECT, CONF_MEMBER(struct things, inner), .table = &INNER },
    };
    static const struct conf_table SOME = CONF_TABLE(SOME_KEYS, struct things);
    struct things from, to = { .count = 77 };
    struct told told;
    read_text(&from, SPAN_LIT("{\"nets\": [\"::ffff:10.0.0.0/104\", \"unix\"], \"word\": \"x\"}"), &told);
    conf_copy(&SOME, &to, &from);
    assert_ptr_not_equal(to.word, from.word);
    assert_ptr_not_equal(to.nets.list, from.nets.list);
    conf_clear(&TABLE, &from);
    assert_string_equal(to.word, "x");
    assert_int_equal(to.nets.count, 2);
    assert_int_equal(to.nets.list[0].family, NETADDR_IPV4);
    assert_int_equal(to.nets.list[0].bits, 8);
    assert_int_equal(to.nets.list[1].family, NETADDR_UNIX);
    assert_int_equal(to.wait, 270 * USEC_PER_SEC);
    assert_true(to.flag);
    assert_int_equal(to.inner.depth, 3);
    assert_int_equal(to.count, 77);
    conf_clear(&SOME, &to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_reads_all_types),
        cmocka_unit_test(test_print_reads_back),
        cmocka_unit_test(test_cut_everywhere),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_odd_bytes),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_many_faults),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_faulty),
        cmocka_unit_test(test_copy_is_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
