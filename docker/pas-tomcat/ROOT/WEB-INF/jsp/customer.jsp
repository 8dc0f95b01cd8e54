<%@ include file="common.jspf" %>
<%
    if (request.getRequestURI().endsWith("cache"))
        response.setHeader("Cache-Control", "max-age=60");
    response.setContentType("application/json");
    out.print("{\"message\": \"sports2000 not connected\"" + instance(calls));
%>
