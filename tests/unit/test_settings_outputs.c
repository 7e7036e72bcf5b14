/* The keys of log outputs: what each type has, what follows from what, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/conf.h"
#include "tests/unit/settings_told.h"

#include <stdlib.h>

static struct settings *load_outputs(const char *outputs, const char *more, struct told *told)
{
    char text[2048];
    snprintf(text, sizeof text, "{\"log\": {\"outputs\": [%s]%s}}", outputs, more);
    return settings_load_text("t.json", span_str(text), NULL, NULL, tell, told);
}

static void test_what_follows(void **state)
{
    (void)state;
    static const struct {
        const char *output, *more;
        enum output_type type;
        enum output_transport transport;
        enum output_framing framing;
        bool tls, cookie;
        enum log_overflow overflow;
    } CASES[] = {
        { "{\"type\": \"stdout\"}", "", OUTPUT_STDOUT, TRANSPORT_NONE, FRAMING_NEWLINE, false, false, OVERFLOW_BLOCK },
        { "{\"type\": \"syslog\", \"address\": \"unix:/dev/log\"}", "", OUTPUT_SYSLOG, TRANSPORT_UNIX, FRAMING_NEWLINE,
          false, false, OVERFLOW_DROP },
        { "{\"type\": \"syslog\", \"address\": \"udp:[::1]:514\"}", ", \"cookie\": true", OUTPUT_SYSLOG, TRANSPORT_UDP,
          FRAMING_NEWLINE, false, true, OVERFLOW_DROP },
        { "{\"type\": \"syslog\", \"address\": \"tcp:h.example:514\"}", "", OUTPUT_SYSLOG, TRANSPORT_TCP,
          FRAMING_NEWLINE, false, false, OVERFLOW_DROP },
        { "{\"type\": \"syslog\", \"address\": \"tls:h.example:514\"}", "", OUTPUT_SYSLOG, TRANSPORT_TCP, FRAMING_OCTET,
          true, false, OVERFLOW_DROP },
        { "{\"type\": \"syslog\", \"address\": \"TLS:h.example:514\", \"framing\": \"newline\"}", "", OUTPUT_SYSLOG,
          TRANSPORT_TCP, FRAMING_NEWLINE, true, false, OVERFLOW_DROP },
        { "{\"type\": \"syslog\", \"address\": \"tcp:h.example:514\", \"tls\": true}", "", OUTPUT_SYSLOG, TRANSPORT_TCP,
          FRAMING_OCTET, true, false, OVERFLOW_DROP },
        { "{\"type\": \"tcp\", \"address\": \"h.example:5000\", \"overflow\": \"tempfail\"}", "", OUTPUT_TCP,
          TRANSPORT_TCP, FRAMING_NEWLINE, false, false, OVERFLOW_TEMPFAIL },
        { "{\"type\": \"tcp\", \"address\": \"h.example:5000\"}", ", \"overflow\": \"block\"", OUTPUT_TCP,
          TRANSPORT_TCP, FRAMING_NEWLINE, false, false, OVERFLOW_BLOCK },
        { "{\"type\": \"journald\"}", "", OUTPUT_JOURNALD, TRANSPORT_UNIX, FRAMING_NEWLINE, false, false,
          OVERFLOW_DROP },
        { "{\"type\": \"file\", \"path\": \"p\"}", ", \"overflow\": \"drop\"", OUTPUT_FILE, TRANSPORT_NONE,
          FRAMING_NEWLINE, false, false, OVERFLOW_DROP },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct told told = { .count = 0 };
        struct settings *s = load_outputs(CASES[i].output, CASES[i].more, &told);
        assert_string_equal(told.text, "");
        const struct output_settings *o = &s->log.output[0];
        assert_int_equal(o->type, CASES[i].type);
        assert_int_equal(o->transport, CASES[i].transport);
        assert_int_equal(o->framing, CASES[i].framing);
        assert_int_equal(o->tls, CASES[i].tls);
        assert_int_equal(o->cookie, CASES[i].cookie);
        assert_int_equal(o->overflow, CASES[i].overflow);
        /* what is printed is read to the same */
        char *printed = settings_print(s);
        struct settings *again = settings_load_text("t.json", span_str(printed), NULL, NULL, tell, &told);
        assert_string_equal(told.text, "");
        char *second = settings_print(again);
        assert_string_equal(printed, second);
        free(printed);
        free(second);
        settings_unref(&again);
        settings_unref(&s);
    }
}

static void expect_fault(const char *output, const char *more, const char *fault)
{
    struct told told = { .count = 0 };
    char want[512];
    assert_null(load_outputs(output, more, &told));
    snprintf(want, sizeof want, "t.json:1: %s", fault);
    if (fault[0] != '\0')
        assert_string_equal(told.text, want);
}

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *output, *more, *fault;
    } CASES[] = {
        { "{\"type\": \"syslog\"}", "", "log.outputs[0]: \"address\" is missing" },
        { "{\"type\": \"tcp\", \"address\": \"h:1\"}, {\"type\": \"tcp\", \"address\": \"h:1\"}", "",
          "log.outputs[1]: this is the same output as log.outputs[0]" },
        { "{\"type\": \"journald\"}, {\"type\": \"journald\"}", "",
          "log.outputs[1]: this is the same output as log.outputs[0]" },
        { "{\"type\": \"syslog\", \"address\": \"systemd:x\"}", "",
          "log.outputs[0].address: \"systemd:x\" is not an address: such as \"unix:/dev/log\", "
          "\"udp:192.0.2.1:514\", \"tls:log.example.com:6514\"" },
        { "{\"type\": \"syslog\", \"address\": \"udp:unix:/x\"}", "",
          "log.outputs[0].address: \"udp:unix:/x\" is not an address: such as \"unix:/dev/log\", "
          "\"udp:192.0.2.1:514\", \"tls:log.example.com:6514\"" },
        { "{\"type\": \"syslog\", \"address\": \"udp:127.0.0.1:514\"}", ", \"max_record\": 70000",
          "log.max_record: must be at most 65000 for syslog over UDP" },
        { "{\"type\": \"file\", \"path\": \"p\", \"rotate_size\": 20000}", ", \"max_record\": 30000",
          "log.outputs[0].rotate_size: must be at least log.max_record" },
        { "{\"type\": \"tcp\", \"address\": \"h:1\", \"tls\": true, \"tls_key\": \"/k\"}", "",
          "log.outputs[0].tls_key: needs tls_cert beside it\nt.json:1: log.outputs[0].tls_key: /k: No such file or "
          "directory" },
        { "{\"type\": \"tcp\", \"address\": \"h:1\", \"tls\": true, \"tls_ca\": \"/nonexistent/ca\"}", "",
          "log.outputs[0].tls_ca: /nonexistent/ca: No such file or directory" },
        { "{\"type\": \"tcp\", \"address\": \"h:1\", \"options\": {}}", "",
          "log.outputs[0].options: this key is for outputs of type kafka" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        expect_fault(CASES[i].output, CASES[i].more, CASES[i].fault);
}

static void test_kafka(void **state)
{
    (void)state;
#ifdef HAVE_RDKAFKA
    static const struct {
        const char *options, *fault;
    } CASES[] = {
        { "{}", NULL },
        { "{\"compression.type\": \"lz4\", \"linger.ms\": 20, \"socket.keepalive.enable\": true}", NULL },
        { "{\"sasl.password\": \"x\"}", "is not an option of librdkafka: a secret stands in a file of its own: put "
                                        "\".file\" behind the option's name, and the file's name as its value" },
        { "{\"bootstrap.servers\": \"x\"}", "is not an option of librdkafka: the servers stand in \"brokers\"" },
        { "{\"Linger\": 1}", "is not an option of librdkafka: of small letters, digits, '.' and '_'" },
        { "{\"a=b\": 1}", "the name must have no '='" },
        { "{\"linger.ms\": [1]}", "a list is not a string, a whole number, true or false" },
        { "{\"linger.ms\": null}", "null is not a string, a whole number, true or false" },
        { "5", "" },
        { "{\"no.such.option\": 1}", "" },
        { "{\"linger.ms\": \"soon\"}", "" },
        { "{\"sasl.password.file\": \"/nonexistent/file\"}", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct told told = { .count = 0 };
        char output[512];
        snprintf(output, sizeof output,
                 "{\"type\": \"kafka\", \"brokers\": \"127.0.0.1:1\", \"topic\": \"t\", \"options\": %s}",
                 CASES[i].options);
        struct settings *s = load_outputs(output, "", &told);
        if (CASES[i].fault == NULL)
            assert_string_equal(told.text, "");
        else
            assert_non_null(strstr(told.text, CASES[i].fault));
        assert_int_equal(s != NULL, CASES[i].fault == NULL);
        if (s != NULL) {
            char *printed = settings_print(s);
            struct settings *again = settings_load_text("t.json", span_str(printed), NULL, NULL, tell, &told);
            assert_string_equal(told.text, "");
            assert_int_equal(again->log.output[0].options.count, s->log.output[0].options.count);
            free(printed);
            settings_unref(&again);
        }
        settings_unref(&s);
    }
    expect_fault("{\"type\": \"kafka\", \"brokers\": \"h:1\"}", "", "log.outputs[0]: \"topic\" is missing");
#else
    expect_fault("{\"type\": \"kafka\", \"brokers\": \"h:1\", \"topic\": \"t\"}", "",
                 "log.outputs[0].type: \"kafka\" is not built into this version");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_what_follows), cmocka_unit_test(test_faults),
                                        cmocka_unit_test(test_kafka) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
