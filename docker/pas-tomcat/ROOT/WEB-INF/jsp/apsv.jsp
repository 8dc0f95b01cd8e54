<%@ include file="common.jspf" %>
<%-- GET: the client's connect test. POST: a message of the AppServer protocol; the
     connection lives in this instance's HTTP session and is named by CONNHDL. --%>
<%!
    static final Map<String, Long> connections = new java.util.concurrent.ConcurrentHashMap<>();
%>
<%
    if (request.getMethod().equals("POST")) {
        String query = request.getQueryString(), handle = request.getHeader("CONNHDL");
        if (query != null && query.startsWith("CONNHDL="))
            handle = query.substring(8);
        if (handle == null || handle.equals("0")) {
            handle = String.format("%016x", UUID.randomUUID().getMostSignificantBits());
            connections.put(handle, 0L);
        }
        if (!connections.containsKey(handle)) {
            response.setStatus(500);
            return;
        }
        long hits = connections.merge(handle, 1L, Long::sum);
        long length = request.getInputStream().skip(Long.MAX_VALUE);
        request.getSession(true);
        response.setHeader("CONNHDL", handle);
        response.setContentType("application/octet-stream");
        out.print("{\"connhdl\": \"" + handle + "\", \"hits\": " + hits + ", \"length\": "
            + length + instance(calls));
    }
%>
