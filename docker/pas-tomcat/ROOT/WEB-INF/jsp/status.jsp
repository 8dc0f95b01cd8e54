<%@ include file="common.jspf" %>
<%
    int code = (int) number(request, "code", 200);
    response.setStatus(code);
    response.setContentType("application/json");
    out.print("{\"status\": " + code + instance(calls));
%>
