import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import kafka.tools.StorageTool;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.Time;

/**
 * One Kafka broker without ZooKeeper on loopback: KafkaBroker DIRECTORY PORT CONTROLLER-PORT. Says "port N" when it
 * serves, and ends when standard input does. Topics are made as they are named, with one partition unless told.
 */
public final class KafkaBroker {
    private KafkaBroker() {}

    public static void main(String[] args) throws Exception {
        Path directory = Files.createDirectories(Path.of(args[0]));
        Properties p = new Properties();
        p.setProperty("process.roles", "broker,controller");
        p.setProperty("node.id", "1");
        p.setProperty("controller.quorum.voters", "1@127.0.0.1:" + args[2]);
        p.setProperty("controller.listener.names", "CONTROLLER");
        p.setProperty("listeners", "PLAINTEXT://127.0.0.1:" + args[1] + ",CONTROLLER://127.0.0.1:" + args[2]);
        p.setProperty("advertised.listeners", "PLAINTEXT://127.0.0.1:" + args[1]);
        p.setProperty("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT");
        p.setProperty("log.dirs", directory.resolve("data").toString());
        p.setProperty("num.partitions", "4");
        p.setProperty("offsets.topic.replication.factor", "1");
        p.setProperty("offsets.topic.num.partitions", "1");
        p.setProperty("transaction.state.log.replication.factor", "1");
        p.setProperty("transaction.state.log.min.isr", "1");
        p.setProperty("group.initial.rebalance.delay.ms", "0");
        Path file = directory.resolve("server.properties");
        try (var out = Files.newOutputStream(file)) {
            p.store(out, null);
        }
        PrintStream answers = System.out;
        System.setOut(System.err);
        if (!Files.exists(directory.resolve("data").resolve("meta.properties"))) {
            StorageTool.execute(new String[] {"format", "-t", Uuid.randomUuid().toString(), "-c", file.toString()}, System.err);
        }
        KafkaRaftServer server = new KafkaRaftServer(KafkaConfig.fromProps(p, false), Time.SYSTEM);
        server.startup();
        answers.println("port " + args[1]);
        answers.flush();
        while (System.in.read() >= 0) {
            continue;
        }
        server.shutdown();
        server.awaitShutdown();
        System.exit(0);
    }
}
