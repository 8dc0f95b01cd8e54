<%@ page language="java" trimDirectiveWhitespaces="true" session="false"
    import="java.lang.management.ManagementFactory, java.nio.file.*, java.util.*, javax.management.*" %>
<%-- /ctl?mode=ok|refuse|hang|slow|500|cut|reset|empty|garbage|slowping|pingfail|hangapp
     [&ms=N] [&s=N] [&code=N] [&ping=ok]; /ctl?health=0.4, /health; /ctl/requests[?brief], the
     book of all requests (ROOT/WEB-INF/jsp/common.jspf). The two services share nothing but the JVM: the mode is in
     system properties. --%>
<%!
    static void set(String name, String value, String deflt)
    {
        System.setProperty(name, value != null ? value : deflt);
    }

    static String book(boolean brief) throws java.io.IOException
    {
        List<String> all = Files.readAllLines(Paths.get(System.getProperty("catalina.base"),
            "logs", "requests"));
        // half a line, if another is being written
        all.removeIf(line -> !line.endsWith("}"));
        Set<String> ids = new HashSet<>();
        long twice = 0;
        for (String line : all) {
            String id = line.substring(0, line.indexOf(",\"method\":"));
            if (!id.equals("{\"id\":\"\"") && !ids.add(id))
                twice++;
        }
        return "{\"total\":" + all.size() + ",\"kept\":" + all.size() + ",\"duplicates\":" + twice
            + ",\"requests\":[" + (brief ? "" : String.join(",\n", all)) + "]}\n";
    }
%>
<%
    double score = Double.parseDouble(System.getProperty("pas.health", "1"));
    response.setContentType("application/json");
    if (request.getServletPath().equals("/health")) {
        response.setStatus(score < 0.5 ? 500 : 200);
        out.print("{\"health\": " + score + "}");
        return;
    }
    if (request.getServletPath().equals("/ctl/requests")) {
        out.print(book("brief".equals(request.getQueryString())));
        return;
    }
    String mode = request.getParameter("mode"), s = request.getParameter("s");
    if (request.getParameter("health") != null)
        System.setProperty("pas.health", request.getParameter("health"));
    if (mode != null) {
        if (!mode.matches(
            "ok|refuse|hang|slow|500|cut|reset|empty|garbage|slowping|pingfail|hangapp")) {
            response.setStatus(400);
            return;
        }
        set("pas.ms", request.getParameter("ms"), "3000");
        set("pas.code", request.getParameter("code"), "0");
        System.setProperty("pas.pingspared", "" + "ok".equals(request.getParameter("ping")));
        System.setProperty("pas.until", s == null ? "" + Long.MAX_VALUE
            : "" + (System.currentTimeMillis() + 1000 * Long.parseLong(s)));
        System.setProperty("pas.mode", mode);
        MBeanServer mbeans = ManagementFactory.getPlatformMBeanServer();
        ObjectName connector = new ObjectName("Catalina:type=Connector,port=8810");
        boolean open = mbeans.getAttribute(connector, "stateName").equals("STARTED");
        if (open == mode.equals("refuse"))
            mbeans.invoke(connector, open ? "stop" : "start", null, null);
    }
    out.print("{\"instance\": \"" + System.getenv("INSTANCE_ID") + "\", \"mode\": \""
        + System.getProperty("pas.mode", "ok") + "\"}");
%>
