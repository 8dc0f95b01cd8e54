<%@ include file="common.jspf" %>
<%
    String bad = mode(true).equals("pingfail") ? "database is not connected" : "";
    if (!bad.isEmpty() && Integer.getInteger("pas.code", 0) > 0)
        response.setStatus(Integer.getInteger("pas.code"));
    response.setContentType("application/json");
    out.print("{\"response\":{\"_retVal\":\"" + bad + "\"}}");
%>
