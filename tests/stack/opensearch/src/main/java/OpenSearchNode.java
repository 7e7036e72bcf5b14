import java.io.PrintStream;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import org.codelibs.opensearch.runner.OpenSearchRunner;
import org.opensearch.http.HttpServerTransport;

/**
 * One OpenSearch node on loopback: OpenSearchNode DIRECTORY [PORT]. Without a port, or with 0, the kernel gives one. Says
 * "port N" when it serves, and ends when standard input does. Started again on the same directory, it has its data.
 */
public final class OpenSearchNode {
    private OpenSearchNode() {}

    public static void main(String[] args) throws Exception {
        String directory = args[0];
        String port = args.length > 1 ? args[1] : "0";
        PrintStream answers = System.out; // the runner takes System.out for its log
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> {
            settings.put("http.port", port);
            settings.put("transport.port", "0");
            settings.put("network.host", "127.0.0.1");
            settings.put("discovery.type", "single-node");
            settings.putList("node.roles", "cluster_manager", "data", "ingest");
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
            settings.put("action.auto_create_index", "smtptap-*,logs-*,.*");
        });
        Files.createDirectories(Path.of(directory));
        runner.build(OpenSearchRunner.newConfigs().basePath(directory).numOfNode(1).clusterName("smtptap-tests"));
        InetSocketAddress bound = runner.getNode(0).injector().getInstance(HttpServerTransport.class).boundAddress()
            .publishAddress().address();
        answers.println("port " + bound.getPort());
        answers.flush();
        while (System.in.read() >= 0) {
            continue;
        }
        runner.close();
        System.exit(0);
    }
}
